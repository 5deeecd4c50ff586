"""Sentences to speak for training: chat by people, formal prose, and written sentences full of names and numbers.

Chat comes from the ``chitchat-dataset`` package (MIT), formal English from the prose of Python's own documentation;
a translator, where there is one, carries both into another language; the rest is made from patterns, in English and
Portuguese. Everything is drawn from a given random generator.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

from dragoman.audio.types import DragomanError

LANGUAGES: Final = ("en", "pt")

_PROSE: Final = re.compile(r"[A-Z][A-Za-z ,'’;:-]{30,180}[.?!]")
_CHAT: Final = re.compile(r"[A-Za-z0-9 ,.'’!?$%-]{4,220}")
CONTRACTIONS: Final = {
    "i": "I", "im": "I'm", "ill": "I'll", "ive": "I've", "id": "I'd", "i'm": "I'm", "i've": "I've", "i'll": "I'll",
    "i'd": "I'd", "dont": "don't", "doesnt": "doesn't", "cant": "can't", "didnt": "didn't", "isnt": "isn't",
    "wasnt": "wasn't", "arent": "aren't", "werent": "weren't", "hasnt": "hasn't", "havent": "haven't",
    "thats": "that's", "youre": "you're", "whats": "what's", "hows": "how's", "theres": "there's", "wont": "won't",
    "couldnt": "couldn't", "wouldnt": "wouldn't", "shouldnt": "shouldn't", "theyre": "they're", "lets": "let's",
    "aint": "ain't", "u": "you", "ur": "your",
}  # fmt: skip
"""How a recognizer writes what people type in haste."""

_WORDS: Final = {
    "en": {
        "person": "Maria Oliveira|John Carter|Professor Lindqvist|Queen Victoria|Mr. Dashwood|Dr. Okafor|Captain Hayes"
        "|the prime minister|Giovanni Ricci|Senator Walsh|Emily Thornton|Akira Tanaka|Johann Goethe|Lord Ashford"
        "|Charlotte|Benjamin Franklin|the young violinist|Fatima Al-Sayed|Sergeant Moreau|Christopher Nkemelu",
        "place": "Lisbon|New Zealand|the Sahara|Edinburgh|South Africa|Kyoto|the Amazon basin|Buenos Aires|Vienna"
        "|northern Scotland|the Mediterranean|Philadelphia|Cairo|the Himalayas|Warsaw|Bangkok|Iceland|Chicago"
        "|the Gulf of Mexico|Jerusalem|Melbourne|the old harbour|Yosemite|Stockholm|Rajasthan",
        "thing": "the railway|a narrow bridge|the manuscript|this vaccine|the telescope|a wooden cathedral|the reef"
        "|the volcano|an irrigation channel|the parliament building|a glacier|the satellite|the orchestra"
        "|a hydroelectric dam|the fossil record|a merchant ship|the museum's collection|a steam engine"
        "|the national archive|the coral island|a silver necklace|the election result|the cabbage harvest",
        "adjective": "remarkable|unusually dry|ancient|romantic|dangerous|crowded|acidic|fragile|generous|obscure"
        "|prosperous|rather selfish|thoroughly modern|widely admired|deeply controversial|surprisingly shallow",
        "verb": "discovered|rebuilt|described|abandoned|photographed|defended|measured|donated|criticized|inherited"
        "|surveyed|purchased|examined|protected|overlooked|painted|restored|questioned",
        "clause": "because the winters were long and cold|although few people had noticed it"
        "|which surprised most of the experts|while thousands of spectators watched from the shore"
        "|despite the objections of the local council|so that travellers could cross the valley safely"
        "|after nearly twenty years of patient work|as long as the temperature stays below freezing"
        "|when the first settlers arrived from the west|in order to reduce the cost of transport"
        "|before the storm reached the coast|since nobody could agree on a better plan",
        "fact": "some animals survive for weeks without water|feathers evolved long before flight"
        "|the moon pulls the oceans toward it|plants change colour depending on the soil"
        "|most rivers carry more sediment after heavy rain|sound travels faster through water than through air"
        "|insects were the first creatures to take to the air|the surface of the planet is slowly cooling"
        "|the earliest maps were drawn on clay|music improves the memory of older patients",
        "lead": "According to the report|For this reason|In the late nineteenth century|Generally speaking"
        "|To the north of the city|At the same time|However|In a statement on Thursday|Not long afterwards"
        "|Contrary to popular belief|During the Second World War|Scientists now believe that|It is thought that",
        "request": "Could you please book a table|What is the best way to get|I'd like to know how to get"
        "|Can you tell me the price of a ticket|How long does it take to travel|Please remind me to call my sister",
        "month": "January|February|March|April|May|June|July|August|September|October|November|December",
        "unit": "kilometers|pounds|hours|people|acres|degrees|dollars|students|tons|pages|miles|years",
    },
    "pt": {
        "person": "Maria Oliveira|João Carvalho|a professora Beatriz|o presidente|Giovana Ribeiro|o doutor Almeida"
        "|a rainha Isabel|o pescador|Antônio Machado|a jovem pianista|o senador Moreira|Luísa Fernandes"
        "|o capitão Nogueira|a minha avó|Pedro Henrique|a ministra da saúde",
        "place": "em Lisboa|no Rio de Janeiro|na Amazônia|em São Paulo|no deserto do Saara|em Coimbra|na Bahia"
        "|no sul da Espanha|em Porto Alegre|na ilha da Madeira|em Moçambique|no litoral norte|nos Estados Unidos"
        "|na fronteira com a Argentina|em Brasília|no centro da cidade",
        "thing": "a estrada de ferro|uma ponte estreita|o manuscrito|esta vacina|o telescópio|uma igreja de madeira"
        "|o vulcão|um canal de irrigação|a sede do parlamento|o satélite|a orquestra|uma usina hidrelétrica"
        "|o arquivo nacional|um navio mercante|o resultado da eleição|a colheita de café|o método científico",
        "adjective": "notável|muito antigo|romântico|perigoso|frágil|generoso|pouco conhecido|próspero"
        "|surpreendentemente raso|bastante polêmico|admirado por todos|difícil de explicar",
        "verb": "descobriu|reconstruiu|descreveu|abandonou|fotografou|defendeu|mediu|criticou|herdou|comprou"
        "|examinou|protegeu|pintou|restaurou|questionou|encontrou",
        "clause": "porque os invernos eram longos e frios|embora poucas pessoas tivessem percebido"
        "|o que surpreendeu a maioria dos especialistas|enquanto a multidão assistia da praia"
        "|apesar das críticas da oposição|para que os viajantes atravessassem o vale"
        "|depois de quase vinte anos de trabalho|quando chegaram os primeiros colonos"
        "|a fim de reduzir o custo do transporte|antes que a tempestade chegasse à costa",
        "fact": "alguns animais vivem semanas sem água|as penas surgiram muito antes do voo"
        "|a lua atrai as águas dos oceanos|as plantas mudam de cor conforme o solo"
        "|o som viaja mais rápido na água do que no ar|os primeiros mapas eram feitos de argila"
        "|a música melhora a memória dos idosos|a população das cidades continua crescendo",
        "lead": "Segundo o relatório|Por essa razão|No fim do século dezenove|De modo geral|Ao norte da cidade"
        "|Ao mesmo tempo|No entanto|Em uma declaração na quinta-feira|Pouco tempo depois|Ao contrário do que se pensa"
        "|Durante a Segunda Guerra Mundial|Os cientistas acreditam que|Hoje em dia",
        "request": "Você poderia reservar uma mesa|Qual é a melhor maneira de chegar|Eu gostaria de saber como chegar"
        "|Quanto custa uma passagem|Quanto tempo leva a viagem|Por favor, me lembre de ligar para a minha irmã",
        "month": "janeiro|fevereiro|março|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro",
        "unit": "quilômetros|quilos|horas|pessoas|hectares|graus|reais|alunos|toneladas|páginas|metros|anos",
    },
}  # fmt: skip

_PATTERNS: Final = {
    "en": (
        "{lead}, {person} {verb} {thing} in {place}.",
        "{person} {verb} {thing} {clause}.",
        "{lead}, {fact}, {clause}.",
        "{thing} near {place} is {adjective}, {clause}.",
        "It was {adjective}, {adjective} and {adjective}, but {person} {verb} it anyway.",
        "In {year}, about {count} {unit} of land around {place} were {verb}.",
        "On {month} {day}, {year}, {person} {verb} {thing} and {thing}.",
        "{person} said that {fact}.",
        "Many people don't realize that {fact}.",
        "{request} in {place} on {month} {day}?",
        "{request} near {place} at {hour}?",
        "The price rose by {percent} percent to {count} dollars {clause}.",
        "My number is {digits}.",
        "{fact}, and {fact}.",
        "The distance between {place} and {place} is roughly {count} {unit}.",
        "If {person} had {verb} {thing}, {place} would have been {adjective}.",
        "Had {person} ever {verb} {thing}?",
        "{count}.",
        "{person}.",
        "{lead}, {thing} was {verb} by {person}, {clause}, and {fact}.",
    ),
    "pt": (
        "{lead}, {person} {verb} {thing} {place}.",
        "{person} {verb} {thing} {clause}.",
        "{lead}, {fact}, {clause}.",
        "O caminho é {adjective}, {clause}.",
        "Em {year}, cerca de {count} {unit} foram registrados {place}.",
        "No dia {day} de {month} de {year}, {person} {verb} {thing}.",
        "{person} disse que {fact}.",
        "Muita gente não sabe que {fact}.",
        "{request} {place} no dia {day} de {month}?",
        "O preço subiu {percent} por cento, para {count} reais, {clause}.",
        "O meu número é {digits}.",
        "{fact}, e {fact}.",
        "Será que {person} {verb} {thing}?",
        "{lead}, {person} {verb} {thing}, {clause}, e {fact}.",
        "Nunca se deve esquecer que {fact}.",
        "{person}.",
    ),
}


def sentence(rng: Random, language: str, translate: Callable[[str], str] | None = None) -> str:
    """One text of 1 to some 45 words. ``translate`` turns English into ``language``: with it, most texts of another
    language are what people wrote too. Raises ``DragomanError`` for a language that has no patterns.
    """
    if language not in _PATTERNS:
        raise DragomanError(f"no training texts in {language!r}: there are {', '.join(LANGUAGES)}")
    if language != "en" and translate is None:
        return _written(rng, language)
    kind = rng.random()
    if kind < 0.45 and (chat := _chat()):
        text = rng.choice(chat)
    elif kind < 0.7 and (prose := _prose()):
        text = rng.choice(prose)
    else:
        return _written(rng, language)
    return text if language == "en" or translate is None else translate(text)


def _written(rng: Random, language: str) -> str:
    numbers = {
        "year": lambda: str(rng.randint(1500, 2030)),
        "count": lambda: str(rng.choice((rng.randint(2, 20), rng.randint(20, 999), rng.randint(1, 90) * 1000))),
        "day": lambda: str(rng.randint(1, 28)),
        "hour": lambda: f"{rng.randint(1, 12)}:{rng.choice(('00', '15', '30', '45'))}",
        "percent": lambda: str(rng.randint(2, 99)),
        "digits": lambda: " ".join(str(rng.randint(0, 9)) for _ in range(rng.randint(3, 8))),
    }
    words = _WORDS[language]

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        return numbers[name]() if name in numbers else rng.choice(words[name].split("|"))

    text = re.sub(r"\{(\w+)\}", fill, rng.choice(_PATTERNS[language]))
    return text[0].upper() + text[1:]


@cache
def _chat() -> tuple[str, ...]:
    """Lines by people in chats, in the spelling that a recognizer writes."""
    found = importlib.util.find_spec("chitchat_dataset")
    if found is None or found.origin is None:
        return ()
    talks = json.loads((Path(found.origin).parent / "dataset.json").read_text(encoding="utf-8"))
    lines = {" ".join(part["text"] for part in turn).strip() for talk in talks.values() for turn in talk["messages"]}
    return tuple(_tidy(line) for line in sorted(lines) if _CHAT.fullmatch(line) and _speakable(line))


def _speakable(line: str) -> bool:
    words = line.split()
    return 1 <= len(words) <= 40 and not any(len(w) > 15 or re.search(r"(.)\1\1", w) for w in words)


def _tidy(line: str) -> str:
    words = [CONTRACTIONS.get(word.lower(), word) if word.islower() or word == "I" else word for word in line.split()]
    text = " ".join(words)
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text + "."


@cache
def _prose() -> tuple[str, ...]:
    """Sentences of Python's documentation that hold words alone."""
    from pydoc_data.topics import topics

    text = re.sub(r"\s+", " ", "\n".join(str(value) for _, value in sorted(topics.items())))
    return tuple(sorted({s for s in _PROSE.findall(text) if "  " not in s and 6 <= len(s.split()) <= 30}))

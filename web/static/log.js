// The conversation on the page: what was said, and of the answers, what was heard.

const split = (text) => text.split(/\s+/).filter(Boolean);

class Entry {
  constructor(list, role) {
    this.node = document.createElement("li");
    this.node.className = role;
    this.role = role;
    const who = this.node.appendChild(document.createElement("p"));
    who.className = "who";
    who.append(role === "user" ? "You" : "dragoman");
    this.note = who.appendChild(document.createElement("span"));
    this.words = this.node.appendChild(document.createElement("p"));
    this.words.className = "words";
    list.append(this.node);
  }

  // What is unfinished is shown, but not read out: each change of it would be said anew.
  busy(unfinished) {
    this.unfinished = unfinished;
    this.node.setAttribute("aria-busy", String(unfinished));
  }

  show(...parts) {
    this.words.replaceChildren();
    for (const [text, kind] of parts) {
      if (!text) continue;
      const node = kind ? document.createElement("span") : document.createTextNode(text);
      if (kind) {
        node.className = kind;
        node.textContent = text;
      }
      if (this.words.childNodes.length) this.words.append(" ");
      this.words.append(node);
    }
  }
}

class Answer extends Entry {
  constructor(list) {
    super(list, "assistant");
    this.before = ""; // what was heard of earlier parts of the same answer
    this.begin();
  }

  begin() {
    this.text = "";
    this.quick = 0; // words of the fast path
    this.times = [];
    this.heard = 0;
    this.state = "coming";
    this.node.classList.add("open");
    this.busy(true);
  }

  // The answer goes on after a false interruption: what was struck out comes again.
  resume() {
    this.before = [this.before, ...split(this.text).slice(0, this.heard)].filter(Boolean).join(" ");
    this.begin();
  }

  get said() {
    return [this.before, ...split(this.text).slice(0, this.heard)].filter(Boolean).join(" ");
  }

  // The fast path's words, and how sure the verifier is of them.
  opens(text, trust) {
    this.quick = split(text).length;
    this.trust = trust;
    this.note.title = `The underlined words were drafted at once; the verifier trusts them to ${Math.round(100 * trust)} %.`;
  }

  // When the words of its sound are over. The voice does not say all that is written, such as the marks of a list.
  says(words) {
    const written = split(this.text);
    for (const [word, , end] of words) {
      const unsaid = written.slice(this.times.length).findIndex((token) => token.includes(word));
      for (let i = 0; i <= Math.max(0, unsaid); i++) this.times.push(end);
    }
  }

  began(onset) {
    const trust = this.quick ? ` · first words ${Math.round(100 * this.trust)} %` : "";
    this.note.textContent = `${(onset / 1000).toFixed(2)} s${trust}`;
  }

  played(ms) {
    let heard = this.heard;
    while (heard < this.times.length && this.times[heard] <= ms + 30) heard++;
    if (heard !== this.heard) {
      this.heard = heard;
      this.draw();
    }
  }

  end(state) {
    if (this.state === state) return;
    this.state = state;
    this.node.classList.remove("open");
    this.busy(false);
    if (state === "heard") this.heard = Infinity;
    this.draw();
  }

  draw() {
    const words = split(this.text);
    const quick = Math.min(this.quick, words.length);
    const heard = Math.max(quick, this.heard);
    this.show(
      [this.before],
      [words.slice(0, Math.min(quick, this.heard)).join(" "), "quick"],
      [words.slice(this.heard, quick).join(" "), `quick ${this.state}`],
      [words.slice(quick, heard).join(" ")],
      [words.slice(heard).join(" "), this.state],
    );
  }
}

export class Log {
  constructor(list, scroll) {
    this.list = list;
    this.scroll = scroll;
    this.items = new Map();
    this.last = null;
  }

  keepInView(change) {
    const room = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight;
    change();
    if (room < 120) this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  // `stable`: how many of the words will not change; all of them where it is over.
  user(item, text, stable = Infinity) {
    this.keepInView(() => {
      if (!this.items.has(item)) this.items.set(item, (this.last = new Entry(this.list, "user")));
      const entry = this.items.get(item);
      const words = split(text);
      entry.busy(stable !== Infinity);
      entry.said = words.slice(0, stable).join(" ");
      entry.show([entry.said], [words.slice(stable).join(" "), "guess"]);
    });
  }

  drop(item) {
    this.items.get(item)?.node.remove();
    this.items.delete(item);
    this.last = [...this.items.values()].at(-1) ?? null;
  }

  answer(item) {
    if (this.items.has(item)) return; // it was said before the connection
    this.keepInView(() => {
      if (this.last instanceof Answer && this.last.state === "unheard") this.last.resume();
      else this.last = new Answer(this.list);
      this.items.set(item, this.last);
    });
  }

  // The rest of an answer is not heard; one that had not begun leaves no trace.
  unheard(item) {
    const entry = this.items.get(item);
    if (entry instanceof Answer && !entry.text && !entry.before) this.drop(item);
    else this.of(item, (answer) => answer.end("unheard"));
  }

  // The conversation is over: what is unfinished stays as it is, without what was guessed or still to come.
  end() {
    for (const [item, entry] of this.items) {
      if (!entry.unfinished) continue;
      if (entry instanceof Answer) this.unheard(item);
      else if (entry.said) this.user(item, entry.said);
      else this.drop(item);
    }
    this.last = null;
  }

  // All that was said, and of the answers what was heard, each under its last item.
  all() {
    const ids = new Map([...this.items].map(([id, entry]) => [entry, id]));
    return [...ids].map(([{ role, said }, id]) => ({ id, role, text: said })).filter(({ text }) => text);
  }

  heardWhole(item) {
    return this.items.get(item)?.state === "heard";
  }

  of(item, change) {
    const entry = this.items.get(item);
    if (entry instanceof Answer) this.keepInView(() => change(entry));
  }
}

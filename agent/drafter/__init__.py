"""The drafter: a small language model that writes the first words of a reply from the words that were heard."""

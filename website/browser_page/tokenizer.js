// CLIP's tokenizer: lower case, words and marks, bytes, then pairs joined in the learnt order.

const PIECES = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu;

/** GPT-2's letter for every byte, so that every text can be written in the vocabulary. */
function lettersOfBytes() {
  const plain = (byte) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let others = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(plain(byte) ? byte : others++),
  );
}

export class Tokenizer {
  /** @param described model.json's "tokenizer" */
  constructor({ vocabulary, merges, word_end, start, end, length }) {
    Object.assign(this, { vocabulary, wordEnd: word_end, start, end, length });
    this.ranks = new Map(merges.map((pair, rank) => [pair.join(" "), rank]));
    this.letters = lettersOfBytes();
    this.utf8 = new TextEncoder();
  }

  /** The token numbers of a prompt, as many as the model reads: cut or filled up with the end. */
  encode(prompt) {
    const words = prompt.normalize("NFC").replace(/\s+/gu, " ").toLowerCase().match(PIECES) ?? [];
    const inner = words.flatMap((word) => this.#tokensOf(word)).slice(0, this.length - 2);
    const tokens = [this.start, ...inner, this.end];
    return Int32Array.from({ length: this.length }, (_, i) => tokens[i] ?? this.end);
  }

  #tokensOf(word) {
    const parts = [...this.utf8.encode(word)].map((byte) => this.letters[byte]);
    parts.push(parts.pop() + this.wordEnd);
    for (;;) {
      const best = this.#firstMerge(parts);
      if (best === null) return parts.map((part) => this.vocabulary[part]);
      parts.splice(best, 2, parts[best] + parts[best + 1]);
    }
  }

  /** Where the pair stands that was learnt earliest, or null. */
  #firstMerge(parts) {
    let [found, lowest] = [null, Infinity];
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Infinity;
      if (rank < lowest) [found, lowest] = [i, rank];
    }
    return found;
  }
}

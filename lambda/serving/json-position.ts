type Expected = 'value' | 'key' | 'value-or-end' | 'key-or-end' | 'colon' | 'after-value';

const WORDS = ['true', 'false', 'null'];
const WHOLE = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/;
/** As much as may still become a number. */
const NUMBER_SO_FAR = /^-?(?:(?:0|[1-9]\d*)(?:\.\d*)?(?:(?<=\d)[eE][+-]?\d*)?)?/;
/** The expressions never see a long text: what goes on for longer is no literal that anybody meant. */
const MAX_LITERAL = 1000;

/**
 * Where a text stops being JSON: the offset that `JSON.parse` doesn't always tell. Runs only for texts that failed to
 * parse. One pass, no recursion: neither depth nor length can exhaust anything.
 */
export function jsonErrorOffset(text: string): number {
  const open: string[] = [];
  let expected: Expected = 'value';
  let at = skipSpace(text, 0);
  while (at < text.length) {
    const character = text[at] as string;
    const isValueStart: boolean = expected === 'value' || expected === 'value-or-end';
    let end = at + 1;
    if (character === '{' || character === '[') {
      if (!isValueStart) return at;
      open.push(character);
      expected = character === '{' ? 'key-or-end' : 'value-or-end';
    } else if (character === '}' || character === ']') {
      const empty: Expected = character === '}' ? 'key-or-end' : 'value-or-end';
      const opener = character === '}' ? '{' : '[';
      if ((expected !== 'after-value' && expected !== empty) || open.pop() !== opener) return at;
      expected = 'after-value';
    } else if (character === ':') {
      if (expected !== 'colon') return at;
      expected = 'value';
    } else if (character === ',') {
      if (expected !== 'after-value' || open.length === 0) return at;
      expected = open.at(-1) === '{' ? 'key' : 'value';
    } else if (character === '"') {
      const isKey: boolean = expected === 'key' || expected === 'key-or-end';
      if (!isKey && !isValueStart) return at;
      const string = scanString(text, at);
      if (!string.closed) return string.end;
      end = string.end;
      expected = isKey ? 'colon' : 'after-value';
    } else {
      end = literalEnd(text, at);
      if (!isValueStart) return at;
      const literal = text.slice(at, Math.min(end, at + MAX_LITERAL));
      if (end - at > MAX_LITERAL || !WHOLE.test(literal)) return at + soundPrefix(literal);
      expected = 'after-value';
    }
    at = skipSpace(text, end);
  }
  return text.length;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && ' \t\n\r'.includes(text[at] as string)) at += 1;
  return at;
}

function literalEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && !' \t\n\r,:[]{}"'.includes(text[at] as string)) at += 1;
  return at;
}

/** How many characters of what is no literal might have become one. */
function soundPrefix(literal: string): number {
  const word = WORDS.find(([initial]) => literal[0] === initial);
  if (word === undefined) return NUMBER_SO_FAR.exec(literal)?.[0].length ?? 0;
  let length = 1;
  while (length < word.length && literal[length] === word[length]) length += 1;
  return length;
}

/** `end` is behind the closing quote, or at the character that breaks the string. */
function scanString(text: string, from: number): { closed: boolean; end: number } {
  for (let at = from + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return { closed: true, end: at + 1 };
    if (code < 0x20) return { closed: false, end: at };
    if (code !== 0x5c) continue;
    at += 1;
    const escaped = text[at] ?? '';
    if (escaped === 'u') {
      const digits = /^[0-9a-fA-F]*/.exec(text.slice(at + 1, at + 5))?.[0].length ?? 0;
      at += digits;
      if (digits < 4) return { closed: false, end: at + 1 };
    } else if (escaped === '' || !'"\\/bfnrt'.includes(escaped)) {
      return { closed: false, end: Math.min(at, text.length) };
    }
  }
  return { closed: false, end: text.length };
}

/** One-based line and column (in UTF-16 units) of an offset. */
export function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}

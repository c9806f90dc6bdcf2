/** RESP 2, as far as a proxy has to read it. https://valkey.io/topics/protocol/ */

const CRLF = Buffer.from('\r\n');

/** Where the value that begins at `at` ends; `undefined` while it isn't there in full. */
function endOf(bytes: Buffer, at: number): number | undefined {
  const line = bytes.indexOf(CRLF, at);
  if (line === -1) return undefined;
  const next = line + CRLF.length;
  const kind = String.fromCharCode(bytes[at] ?? 0);
  if (kind !== '$' && kind !== '*') return next;
  const count = Number(bytes.toString('latin1', at + 1, line));
  if (count < 0) return next;
  if (kind === '$') return bytes.length < next + count + CRLF.length ? undefined : next + count + CRLF.length;
  let end: number | undefined = next;
  for (let item = 0; item < count && end !== undefined; item++) end = endOf(bytes, end);
  return end;
}

/** Cuts a stream of bytes into values. */
export class RespReader {
  #bytes = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const values: Buffer[] = [];
    let at = 0;
    for (let end = endOf(this.#bytes, at); at < this.#bytes.length && end !== undefined; end = endOf(this.#bytes, at)) {
      values.push(this.#bytes.subarray(at, end));
      at = end;
    }
    this.#bytes = this.#bytes.subarray(at);
    return values;
  }
}

/** The words of a command, which is an array of strings. */
export function wordsOf(command: Buffer): Buffer[] {
  const words: Buffer[] = [];
  let at = command.indexOf(CRLF) + CRLF.length;
  while (at < command.length) {
    const line = command.indexOf(CRLF, at);
    const length = Number(command.toString('latin1', at + 1, line));
    words.push(command.subarray(line + CRLF.length, line + CRLF.length + length));
    at = line + CRLF.length + length + CRLF.length;
  }
  return words;
}

export type Reply = string | Buffer | number | Error | null | readonly Reply[];

export function encodeReply(reply: Reply): Buffer {
  if (reply === null) return Buffer.from('*-1\r\n');
  if (reply instanceof Error) return Buffer.from(`-${reply.message}\r\n`);
  if (typeof reply === 'number') return Buffer.from(`:${reply}\r\n`);
  if (Array.isArray(reply)) return Buffer.concat([Buffer.from(`*${reply.length}\r\n`), ...reply.map(encodeReply)]);
  const bytes = Buffer.from(reply as string | Buffer);
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF]);
}

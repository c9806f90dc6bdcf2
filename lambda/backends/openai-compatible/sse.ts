import { BackendError } from '../backend.ts';

/** One server-sent event with data. */
export interface SseEvent {
  /** The event as a client gets it: `data: …` and a blank line. */
  readonly bytes: Buffer;
  /** What follows `data:`. */
  readonly data: Buffer;
}

const LF = 0x0a;
const CR = 0x0d;
const DATA = Buffer.from('data');
const COLON = 0x3a;
const SPACE = 0x20;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const EVENT_START = Buffer.from('data: ');
const EVENT_END = Buffer.from('\n\n');

/**
 * Cuts a byte stream into server-sent events wherever the bytes were cut on their way (inside a line ending, inside a
 * character). An event in the usual form, one `data: ` line and `\n\n`, passes through as a view of the received bytes;
 * other forms (CR or CRLF, several data lines, `event:` and `id:` fields, comments inside) come out in the usual one.
 * Comments and events without data are dropped.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class SseSplitter {
  readonly #backend: string;
  readonly #maxEventBytes: number;
  /** Bytes of the event that isn't whole yet, and room for more. */
  #held: Buffer = Buffer.alloc(0);
  #heldLength = 0;
  /** How far the held bytes were searched for line endings. */
  #searched = 0;
  #start = true;
  /** The last chunk ended in CR: an LF at the next one's start belongs to it. */
  #skipLf = false;
  /** Data lines of the current event, as offsets of their values; the offset where its current line began. */
  #lines: Array<readonly [from: number, to: number]> = [];
  #lineStart = 0;
  #usual = true;

  constructor(backend: string, maxEventBytes: number) {
    this.#backend = backend;
    this.#maxEventBytes = maxEventBytes;
  }

  /** @throws BackendError when an event grows beyond the limit */
  push(received: Buffer, emit: (event: SseEvent) => void): void {
    let chunk = received;
    if (this.#skipLf && chunk.length > 0) {
      this.#skipLf = false;
      if (chunk[0] === LF) chunk = chunk.subarray(1);
    }
    if (chunk.length === 0) return;
    const bytes = this.#withHeld(chunk);
    if (this.#start) {
      // A byte order mark that is cut in two is waited for.
      if (bytes.length < BOM.length && BOM.subarray(0, bytes.length).equals(bytes)) {
        this.#hold(bytes, 0);
        return;
      }
      this.#start = false;
      if (bytes.subarray(0, BOM.length).equals(BOM)) this.#lineStart = BOM.length;
    }
    const rest = this.#scan(bytes, emit);
    if (bytes.length - rest > this.#maxEventBytes) {
      throw new BackendError(this.#backend, 'protocol', `an event of the stream exceeds ${this.#maxEventBytes} bytes`);
    }
    this.#hold(bytes, rest);
  }

  /** Data that came without the blank line that ends an event: some servers leave it out at the very end. */
  end(): Buffer | undefined {
    const bytes = this.#held.subarray(0, this.#heldLength);
    if (this.#lineStart < bytes.length) this.#endLine(bytes, bytes.length);
    return this.#lines.length === 0 ? undefined : this.#join(bytes);
  }

  /** Emits what is whole; returns the offset of the event that isn't. */
  #scan(bytes: Buffer, emit: (event: SseEvent) => void): number {
    let eventStart = 0;
    let lineStart = this.#lineStart;
    let at = Math.max(this.#searched, lineStart);
    let lf = bytes.indexOf(LF, at);
    let cr = bytes.indexOf(CR, at);
    while (lf !== -1 || cr !== -1) {
      const endsInCr = cr !== -1 && (lf === -1 || cr < lf);
      const end = endsInCr ? cr : lf;
      let next = end + 1;
      if (endsInCr && next === bytes.length) this.#skipLf = true;
      else if (endsInCr && bytes[next] === LF) next += 1;
      if (endsInCr) this.#usual = false;
      if (end > lineStart) {
        this.#lineStart = lineStart;
        this.#endLine(bytes, end);
      } else {
        if (this.#lines.length > 0) emit(this.#event(bytes, eventStart, next));
        this.#lines = [];
        this.#usual = true;
        eventStart = next;
      }
      lineStart = next;
      at = next;
      if (lf !== -1 && lf < at) lf = bytes.indexOf(LF, at);
      if (cr !== -1 && cr < at) cr = bytes.indexOf(CR, at);
    }
    this.#lineStart = lineStart;
    return eventStart;
  }

  #endLine(bytes: Buffer, end: number): void {
    const from = this.#lineStart;
    const isData =
      end - from >= DATA.length &&
      bytes.compare(DATA, 0, DATA.length, from, from + DATA.length) === 0 &&
      (end - from === DATA.length || bytes[from + DATA.length] === COLON);
    if (!isData) {
      this.#usual = false;
      return;
    }
    const afterColon = Math.min(from + DATA.length + 1, end);
    const value = bytes[afterColon] === SPACE && afterColon < end ? afterColon + 1 : afterColon;
    if (this.#lines.length > 0 || value !== from + EVENT_START.length) this.#usual = false;
    this.#lines.push([value, end]);
  }

  #event(bytes: Buffer, start: number, end: number): SseEvent {
    const [first] = this.#lines;
    if (this.#usual && first !== undefined) {
      // Behind a byte order mark the event starts later than its bytes do.
      const from = first[0] - EVENT_START.length;
      return { bytes: bytes.subarray(Math.max(start, from), end), data: bytes.subarray(first[0], first[1]) };
    }
    const data = this.#join(bytes);
    return { bytes: asEvent(data), data };
  }

  /** The data is JSON, where a line break is but a space: several lines become one. */
  #join(bytes: Buffer): Buffer {
    return Buffer.concat(
      this.#lines.flatMap(([from, to], index) =>
        index === 0 ? [bytes.subarray(from, to)] : [Buffer.of(SPACE), bytes.subarray(from, to)],
      ),
    );
  }

  #withHeld(chunk: Buffer): Buffer {
    if (this.#heldLength === 0) return chunk;
    const length = this.#heldLength + chunk.length;
    if (length > this.#held.length) {
      // Doubling keeps a large event that comes byte by byte from being copied for each of them.
      const larger = Buffer.allocUnsafeSlow(Math.max(length, this.#held.length * 2, 1024));
      this.#held.copy(larger, 0, 0, this.#heldLength);
      this.#held = larger;
    }
    chunk.copy(this.#held, this.#heldLength);
    return this.#held.subarray(0, length);
  }

  /** Keeps the bytes from `rest` on. Emitted events are views: memory that holds one is never written again. */
  #hold(bytes: Buffer, rest: number): void {
    const length = bytes.length - rest;
    if (length === 0 || rest > 0 || bytes.buffer !== this.#held.buffer) {
      this.#held = Buffer.alloc(0);
      if (length > 0) {
        this.#held = Buffer.allocUnsafeSlow(Math.max(length * 2, 1024));
        bytes.copy(this.#held, 0, rest);
      }
    }
    this.#heldLength = length;
    this.#searched = length;
    this.#lineStart -= rest;
    if (rest > 0) this.#lines = this.#lines.map(([from, to]) => [from - rest, to - rest] as const);
  }
}

export const asEvent = (data: Uint8Array): Buffer => Buffer.concat([EVENT_START, data, EVENT_END]);

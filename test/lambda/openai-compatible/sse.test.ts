import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BackendError } from '../../../lambda/backends/backend.ts';
import { SseSplitter } from '../../../lambda/backends/openai-compatible/sse.ts';

/** The events of a stream that arrives in these pieces. */
function split(
  pieces: readonly Uint8Array[],
  maxEventBytes = 1_000_000,
): { events: string[]; data: string[]; rest: string | undefined } {
  const splitter = new SseSplitter('b', maxEventBytes);
  const emitted: Array<{ bytes: Buffer; data: Buffer }> = [];
  for (const piece of pieces) {
    // As a socket does: the memory of a chunk is not reused, but ours must not depend on the test's own.
    splitter.push(Buffer.from(piece), (event) => emitted.push(event));
  }
  const rest = splitter.end()?.toString();
  // Read only now: an event's bytes must stay what they were while later ones come in.
  return {
    events: emitted.map(({ bytes }) => bytes.toString()),
    data: emitted.map(({ data }) => data.toString()),
    rest,
  };
}

const one = (text: string) => split([Buffer.from(text)]);

describe('forms of an event', () => {
  test.each([
    ['LF', 'data: {"a":1}\n\n'],
    ['CRLF', 'data: {"a":1}\r\n\r\n'],
    ['CR', 'data: {"a":1}\r\r'],
    ['mixed endings', 'data: {"a":1}\r\n\n'],
    ['no space after the colon', 'data:{"a":1}\n\n'],
    ['other fields around it', 'event: message\nid: 7\ndata: {"a":1}\nretry: 5\n\n'],
    ['a comment inside', ': hi\ndata: {"a":1}\n\n'],
    ['a byte order mark', '\ufeffdata: {"a":1}\n\n'],
    ['blank lines before', '\n\n\r\n\ndata: {"a":1}\n\n'],
  ])('%s', (_, text) => {
    expect(one(text)).toEqual({ events: ['data: {"a":1}\n\n'], data: ['{"a":1}'], rest: undefined });
  });

  test('several data lines become one', () => {
    expect(one('data: {"a":\ndata: 1}\n\n').events).toEqual(['data: {"a": 1}\n\n']);
  });

  test('comments and events without data are no events', () => {
    expect(one(': ping\n\nevent: x\n\n: pong\n\n')).toEqual({ events: [], data: [], rest: undefined });
  });

  test('a field that only begins like data is another one', () => {
    expect(one('database: x\n\n').events).toEqual([]);
  });

  test('a line that is only "data" is empty data', () => {
    expect(one('data\n\n').data).toEqual(['']);
  });

  test('what the last blank line is missing from is told apart', () => {
    expect(one('data: a\n\ndata: b\n')).toEqual({ events: ['data: a\n\n'], data: ['a'], rest: 'b' });
    expect(one('data: a\n\ndata: b')).toEqual({ events: ['data: a\n\n'], data: ['a'], rest: 'b' });
  });
});

const ending = fc.constantFrom('\n', '\r\n', '\r');
const line = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => `data: {"text":${JSON.stringify(text)}}`),
  fc.constantFrom('data:x', 'data', ': comment', 'event: message', 'id: 1', 'data: [DONE]'),
);
const event = fc
  .tuple(fc.array(line, { minLength: 1, maxLength: 4 }), ending)
  .map(([lines, end]) => lines.map((each) => each + end).join('') + end);

describe('however the bytes are cut', () => {
  test('at every single boundary, the events are the same', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 4 }), fc.boolean(), (events, mark) => {
        const bytes = Buffer.from((mark ? '\ufeff' : '') + events.join(''));
        const whole = split([bytes]);
        for (let at = 0; at <= bytes.length; at += 1) {
          expect(split([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('byte by byte, and at random, the events are the same', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 6 }), fc.array(fc.nat(2000), { maxLength: 12 }), (events, cuts) => {
        const bytes = Buffer.from(events.join(''));
        const whole = split([bytes]);
        expect(split(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole);
        const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        expect(split(at.slice(1).map((to, index) => bytes.subarray(at[index], to)))).toEqual(whole);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a huge event', () => {
  test('is refused at the limit, whether it comes at once or in pieces', () => {
    const huge = Buffer.from(`data: ${'x'.repeat(5000)}`);
    expect(() => split([huge], 4000)).toThrow(BackendError);
    expect(() =>
      split(
        Array.from({ length: 6 }, (_, index) => huge.subarray(index * 1000, (index + 1) * 1000)),
        4000,
      ),
    ).toThrow('exceeds 4000 bytes');
  });

  test('that comes byte by byte costs linear time', () => {
    const bytes = Buffer.from(`data: ${'x'.repeat(300_000)}\n\n`);
    const before = process.threadCpuUsage();
    expect(split(Array.from(bytes, (byte) => Uint8Array.of(byte))).events).toHaveLength(1);
    // Microseconds of this thread's own. Quadratic copying would move 45 gigabytes.
    expect(process.threadCpuUsage(before).user).toBeLessThan(3_000_000);
  });
});

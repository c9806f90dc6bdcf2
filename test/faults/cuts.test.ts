import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Seam } from '../../lambda/failover/seam.ts';
import { deploy, HELLO, model, openAiBackend, servingConfig, textOf } from '../lambda/support/serving.ts';
import { chunk, DONE, ROLE, sse, Upstream, usageChunk } from '../lambda/support/upstream.ts';

const DEADLINES = { connectMs: 500, firstTokenMs: 500, betweenTokensMs: 500 };
const WORDS = ['Once ', 'upon ', 'a ', 'time ', 'there ', 'was ', 'a ', 'Königin 👑', '.'];
const RECORDED = Buffer.from(
  ROLE + WORDS.map((content) => chunk({ content })).join('') + chunk({}, 'stop') + usageChunk(10, 9) + DONE,
);

/** Sends the recorded stream up to `cut`, in pieces, and breaks the connection. */
let cut = 0;
let sizes: readonly number[] = [RECORDED.length];
let first: Upstream;
let second: Upstream;

beforeAll(async () => {
  first = await Upstream.start(async (response) => {
    sse(response);
    let at = 0;
    for (let index = 0; at < cut; index += 1) {
      const size = Math.min(sizes[index % sizes.length] ?? cut, cut - at);
      response.write(RECORDED.subarray(at, at + size));
      at += size;
      await new Promise(setImmediate);
    }
    response.destroy();
  });
  // Goes on as an engine does that was given the unfinished message.
  second = await Upstream.start((response, { body }) => {
    const given = (body.messages as Array<{ role: string; content: string }>).at(-1);
    const rest = given?.role === 'assistant' ? WORDS.join('').slice(given.content.length) : WORDS.join('');
    sse(response).end(chunk({ role: 'assistant', content: rest }) + chunk({}, 'stop') + usageChunk(10, 9) + DONE);
  });
});
afterAll(() => Promise.all([first.stop(), second.stop()]));

const gateway = () =>
  deploy(
    servingConfig([
      model([
        openAiBackend(first.url, { deadlines: DEADLINES }),
        openAiBackend(second.url, { id: 'second', deadlines: DEADLINES, continueFinalMessage: true }),
      ]),
    ]),
  );

async function isWhole(): Promise<void> {
  const { chat, requestLog } = gateway();
  const { events, body } = await chat({ ...HELLO, stream: true });
  expect(textOf(events)).toBe(WORDS.join(''));
  expect(events.at(-1)).toBe('[DONE]');
  expect(body).not.toContain('"error"');
  expect(body.match(/"finish_reason":"stop"/g)).toHaveLength(1);
  expect(new Set(events.flatMap((event) => (typeof event === 'object' ? [event.id] : [])))).toHaveProperty('size', 1);
  expect(requestLog()[0]).toMatchObject({ status: 200, Errors: 0 });
}

describe('a recorded stream', () => {
  test('that is cut at every one of its bytes reaches the client whole', async () => {
    sizes = [RECORDED.length];
    for (cut = 0; cut < RECORDED.length; cut += 1) await isWhole();
  }, 120_000);

  test('that comes in random pieces and is cut anywhere reaches the client whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: RECORDED.length }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }),
        async (at, pieces) => {
          cut = at;
          sizes = pieces;
          await isWhole();
        },
      ),
      { numRuns: 100 },
    );
  }, 120_000);
});

describe('the seam', () => {
  const words = fc.array(fc.constantFrom('alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'), {
    minLength: 4,
    maxLength: 30,
  });

  test('takes out what is said again, however it comes in pieces', () => {
    fc.assert(
      fc.property(
        words,
        fc.nat(),
        fc.nat({ max: 150 }),
        fc.integer({ min: 1, max: 20 }),
        (list, split, again, size) => {
          // Numbered, so that a passage stands in the text only once.
          const text = list.map((word, index) => `${word}${index}`).join(' ');
          const at = split % text.length;
          const from = Math.max(0, at - Math.max(8, again));
          if (at - from < 8) return;
          const seam = new Seam(text.slice(0, at));
          let joined = text.slice(0, at);
          for (let i = from; i < text.length; i += size) joined += seam.push(text.slice(i, i + size));
          expect(joined + seam.end()).toBe(text);
        },
      ),
    );
  });

  test('loses nothing of what is new', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string()), (before, pieces) => {
        const seam = new Seam(before);
        const out = pieces.map((piece) => seam.push(piece)).join('') + seam.end();
        const said = pieces.join('');
        expect(said.endsWith(out)).toBe(true);
        const again = said.slice(0, said.length - out.length);
        expect(before.endsWith(again) || before.endsWith(again.trimStart())).toBe(true);
      }),
    );
  });

  test.each([
    ['Hello wor', 'world', 'ld'],
    ['Hello wor', 'ld', 'ld'],
    ['I like the ', 'the cat', 'the cat'],
    ['It was a dark and stormy night', 'dark and stormy night; the rain', '; the rain'],
    ['It was a dark and stormy night', '\n\ndark and stormy night; the rain', '; the rain'],
    ['It was a dark and stormy ', ' dark and stormy night', 'night'],
    ['It was dark.', '\n\nThe rain fell.', '\n\nThe rain fell.'],
    ['```ts\nconst a = 1;\n', '```ts\nconst a = 1;\nconst b = 2;\n', 'const b = 2;\n'],
    ['A crown 👑 and a rose 🌹', ' and a rose 🌹🌹 fell', '🌹 fell'],
    ['Half a pair \ud83d', '\ude00 follows', '\ude00 follows'],
  ])('after %j, of %j comes %j', (before, said, fresh) => {
    const seam = new Seam(before);
    expect(seam.push(said) + seam.end()).toBe(fresh);
  });
});

import { performance } from 'node:perf_hooks';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Frame } from '../../../lambda/backends/backend.ts';
import { FrameStream } from '../../../lambda/backends/openai-compatible/frames.ts';
import { chunk, DONE, ROLE, usageChunk } from '../support/upstream.ts';

async function framesOf(pieces: readonly Uint8Array[]): Promise<Frame[]> {
  const source = new PassThrough();
  const { signal } = new AbortController();
  const stream = new FrameStream(source, { backend: 'b', firstTokenMs: 5000, betweenTokensMs: 5000, signal });
  for (const piece of pieces) source.write(piece);
  source.end();
  const frames: Frame[] = [];
  for await (const frame of stream) frames.push({ ...frame, bytes: Buffer.from(frame.bytes) });
  return frames;
}

const STREAM = Buffer.from(
  `: hello\n\n${ROLE}${chunk({ content: 'grüße 😀 "usage" and \\"finish_reason\\":' })}${chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a":' } }] })}\r\n${chunk(
    {},
    'tool_calls',
  ).replaceAll('\n', '\r\n')}${usageChunk(7, 9, 3)}${DONE}`,
);

test('a stream gives the same frames wherever it is cut', async () => {
  const whole = await framesOf([STREAM]);
  expect(whole).toMatchObject([
    { output: false, usageOnly: false },
    { output: true },
    { output: true },
    { output: true, finishReason: 'tool_calls' },
    { output: false, usageOnly: true, usage: { inputTokens: 7, outputTokens: 9, cachedInputTokens: 3 } },
  ]);
  for (let at = 1; at < STREAM.length; at += 1) {
    expect(await framesOf([STREAM.subarray(0, at), STREAM.subarray(at)])).toEqual(whole);
  }
  expect(await framesOf(Array.from(STREAM, (byte) => Uint8Array.of(byte)))).toEqual(whole);
});

test('text that looks like a usage or a finish reason is neither', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.string(),
          fc.constantFrom('"usage":{"prompt_tokens":5}', '"finish_reason":"stop"', '"error":{}', 'usage', 'error'),
        ),
        {
          minLength: 1,
          maxLength: 6,
        },
      ),
      async (texts) => {
        const frames = await framesOf([
          Buffer.from(
            chunk({ content: 'x' }) + texts.map((content) => chunk({ content })).join('') + chunk({}, 'stop') + DONE,
          ),
        ]);
        expect(frames).toHaveLength(texts.length + 2);
        expect(
          frames.filter(({ usage, finishReason }) => usage !== undefined || finishReason !== undefined),
        ).toHaveLength(1);
      },
    ),
    { numRuns: 100 },
  );
});

const paused = async (stream: FrameStream, source: PassThrough, ms: number): Promise<number> => {
  for (let i = 0; i < 20; i += 1) source.write(chunk({ content: 'x'.repeat(20_000) }));
  await sleep(ms);
  let count = 0;
  while (count < 20 && !(await stream.next()).done) count += 1;
  return count;
};

test('a client that takes its time is not taken for a silent backend; the backend is, from then on', async () => {
  const source = new PassThrough();
  const { signal } = new AbortController();
  const stream = new FrameStream(source, { backend: 'b', firstTokenMs: 5000, betweenTokensMs: 100, signal });
  expect(await paused(stream, source, 350)).toBe(20);
  const start = performance.now();
  await expect(stream.next()).rejects.toMatchObject({ kind: 'timeout' });
  expect(performance.now() - start).toBeGreaterThan(50);
});

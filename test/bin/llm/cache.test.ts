import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recommended, rowOf } from '../../../bin/llm/cache/score.ts';
import { main } from '../../../bin/llm/main.ts';
import { createTextModel } from '../../../local/model/index.ts';
import { type RunningServer, startOpenAiServer } from '../../../local/model/openai-server.ts';

let folder: string;
let server: RunningServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pairs-'));
  server = await startOpenAiServer({ model: await createTextModel() });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await server.close();
});

async function run(lines: readonly string[], ...args: string[]) {
  const file = join(folder, 'pairs.jsonl');
  writeFileSync(file, lines.join('\n'));
  let [out, err] = ['', ''];
  const io = { out: (text: string) => (out += text), err: (text: string) => (err += text) };
  const status = await main(['cache', 'score', file, ...args], io as never);
  return { status, out, err };
}

const PAIRS = [
  { a: 'How do I boil an egg?', b: 'Please tell me how I can boil an egg', same: true },
  { a: 'Peel 3 large brown onions carefully', b: 'Peel 4 large brown onions carefully', same: false, kind: 'number' },
  { a: 'Suggest a name for my cat', b: 'Explain the theory of relativity', same: false },
].map((pair) => JSON.stringify(pair));

const embedding = () => ['--url', `${server.url}/v1`, '--model', 'any'];

test('tells hits, false hits and misses for each threshold and kind of guards, and recommends one', async () => {
  const { status, out } = await run(PAIRS, ...embedding());
  expect(status).toBe(0);
  expect(out).toContain('3 pairs: 1 mean the same, 2 do not');
  // Without guards the near duplicate is a hit, with them it isn't.
  expect(out).toMatch(/^none +0\.70 +2 +1 +0 +50\.0 +100\.0 +50\.0$/m);
  expect(out).toMatch(/^strict +0\.70 +1 +0 +0 +100\.0 +100\.0 +0\.0$/m);
  expect(out).toMatch(/^guards strict: threshold 0\.\d\d \(recall 100\.0 %, 0 false\)$/m);
});

test('--json tells of each pair its score and what the guards say', async () => {
  const { out } = await run(PAIRS, ...embedding(), '--json');
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toHaveLength(3);
  expect(lines[1]).toMatchObject({
    kind: 'number',
    same: false,
    guards: { strict: false, standard: false, none: true },
  });
});

test.each([
  [['{"a":"x","b":"y"}'], /pairs\.jsonl:1: "same" must be true/],
  [['{"a":"x","same":true}'], /pairs\.jsonl:1: "a" and "b" must be/],
  [['', 'nothing'], /pairs\.jsonl:2: /],
  [[], /has no pair/],
])('%j is refused', async (lines, message) => {
  const { status, err } = await run(lines, ...embedding());
  expect(status).toBe(1);
  expect(err).toMatch(message);
});

test.each([
  [[], 'pass --url and --model, or --bedrock'],
  [['--url', 'http://127.0.0.1:1/v1'], '--url needs --model'],
  [['--bedrock', 'm', '--max-false', '200'], '--max-false must be'],
])('%j is a wrong use', async (args, message) => {
  const { status, err } = await run(PAIRS, ...args);
  expect(status).toBe(2);
  expect(err).toContain(message);
});

test('a threshold is recommended a step above the last false hit', () => {
  const pair = (score: number, same: boolean) => ({ a: 'boil an egg', b: 'boil an egg', kind: '', score, same });
  const pairs = [pair(0.95, true), pair(0.8, true), pair(0.855, false)];
  expect(recommended(pairs, 'none', 0)).toMatchObject({ threshold: 0.87, recall: 0.5, falseHits: 0 });
  expect(recommended(pairs, 'none', 1)?.threshold).toBe(0.51);
  expect(recommended([pair(1, false)], 'none', 0)).toBeUndefined();
  expect(rowOf(pairs, 0.8, 'none')).toMatchObject({ hits: 3, falseHits: 1, missed: 0, falseHitRate: 1 });
});

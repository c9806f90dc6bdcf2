import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { main } from '../../../bin/llm/main.ts';
import { Backend, LlmServing, Model, RouteTarget, RoutingPolicy, Tier, TokenPrice } from '../../../lib';

let folder: string;
let assembly: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'route-'));
  const app = new App({ outdir: join(folder, 'cdk.out') });
  const stack = new Stack(app, 'Test');
  const good = Backend.openAiCompatible(`http://${stack.account}.internal/v1`, {
    backendId: 'good',
    allowHttp: true,
    price: TokenPrice.perMillion({ inputUsd: 10, outputUsd: 20 }),
  });
  const cheap = Backend.bedrock('amazon.nova-micro-v1:0', {
    backendId: 'cheap',
    tools: false,
    price: TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 }),
  });
  const routing = RoutingPolicy.of({
    cheap,
    rules: [{ name: 'trial', route: RouteTarget.CHEAP, tiers: ['trial'] }],
  });
  new LlmServing(stack, 'Serving', {
    models: [
      new Model(stack, 'Chat', { backends: [good, cheap], routing }),
      new Model(stack, 'Plain', { backends: [good] }),
    ],
    tiers: [new Tier(stack, 'Standard'), new Tier(stack, 'Trial')],
    // Their functions have the gateway's configuration, too.
    jobs: {},
  });
  app.synth();
  assembly = app.outdir;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function llm(lines: readonly unknown[], ...args: string[]) {
  const file = join(folder, 'requests.jsonl');
  writeFileSync(file, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  const { status, out, err } = await run('route', 'score', file, '--config', assembly, ...args);
  return { status, out, err: err.replaceAll(file, 'requests.jsonl') };
}

async function run(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const status = await main(args, { out: (text) => void out.push(text), err: (text) => void err.push(text) });
  return { status, out: out.join(''), err: err.join('') };
}

const body = (more: object = {}) => ({ model: 'chat', messages: [{ role: 'user', content: 'hello' }], ...more });
const tools = [{ type: 'function', function: { name: 'f' } }];

test('tells what the policy routes to the cheap backend, why, and what that saves', async () => {
  const { status, out, err } = await llm([
    { body: body(), usage: { prompt_tokens: 1_000_000, completion_tokens: 0 } },
    { body: body({ tools }), usage: { prompt_tokens: 1_000_000, completion_tokens: 500_000 } },
    { body: body(), priority: 'high', usage: { prompt_tokens: 0, completion_tokens: 500_000 } },
    { body: body({ model: 'plain' }), usage: { prompt_tokens: 1_000_000, completion_tokens: 0 } },
  ]);
  expect({ status, err }).toEqual({ status: 0, err: '' });
  expect(out).toBe(
    [
      'chat: 3 requests, 33.3 % to the cheap backend first',
      '  without the policy $40, with it $31: $9 saved (22.5 %)',
      '',
      '  route     reason    backend  requests  saved',
      '  cheap     simple    cheap           1     $9',
      '  standard  tools     good            1     $0',
      '  standard  priority  good            1     $0',
      '',
      'plain: 1 request, 0.0 % to the cheap backend first',
      '  without the policy $10, with it $10: $0 saved (0.0 %)',
      '',
      '  route      reason  backend  requests  saved',
      '  no policy          good            1     $0',
      '',
    ].join('\n'),
  );
});

test('decides as the data path does: by tier, and by what the cheap backend can do', async () => {
  const { out } = await llm(
    [
      { custom_id: 'a', body: body(), tier: 'trial' },
      // The rule wishes for what the backend can't do.
      { custom_id: 'b', body: body({ tools }), tier: 'trial' },
      body({ max_tokens: 5 }),
    ],
    '--json',
    '--output-tokens',
    '1000',
  );
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toMatchObject([
    { line: 1, custom_id: 'a', backend: 'cheap', decision: { route: 'cheap', reason: 'rule', rule: 'trial' } },
    { line: 2, custom_id: 'b', backend: 'good', decision: { route: 'standard', reason: 'unsupported' } },
    { line: 3, backend: 'cheap', decision: { route: 'cheap', reason: 'simple' } },
  ]);
  // 6 tokens of the prompt, and the answer's limit.
  expect(lines[2].withUsd).toBeCloseTo((6 * 1 + 5 * 2) / 1e6, 12);
  expect(lines[2].withoutUsd).toBeCloseTo((6 * 10 + 5 * 20) / 1e6, 12);
});

test('leaves out what is no request, says where it is, and quotes none of it', async () => {
  const { status, out, err } = await llm([
    '{"secret',
    '["secret"]',
    body({ model: 'secret' }),
    { body: body(), tier: 'gold' },
    { body: body(), priority: 'urgent' },
    { body: { messages: 'secret' } },
    '',
    body(),
  ]);
  expect(status).toBe(0);
  expect(out).toContain('chat: 1 request, 100.0 % to the cheap backend first');
  expect(err).toContain('requests.jsonl:1: not valid JSON\nrequests.jsonl:2: not a JSON object\n');
  expect(err).toContain('requests.jsonl:4: there is no tier "gold"\n');
  expect(err).toContain('requests.jsonl:5: priority must be one of low, normal, high\n');
  expect(err).toContain('6 lines were left out');
  expect(err.replace('The model `secret`', '')).not.toContain('secret');
});

test.each<[string[], number, RegExp]>([
  [['route', 'score'], 2, /expected: route score FILE/],
  [['route', 'dance', 'x'], 2, /expected: route score FILE/],
  [['route', 'score', 'x', '--output-tokens', '-1'], 2, /output-tokens/],
  [['route', 'score', 'x', '--config', '/nowhere'], 1, /\/nowhere doesn't exist: run `cdk synth` first/],
  [['route', 'score', '/nowhere.jsonl'], 1, /ENOENT.*nowhere\.jsonl/],
])('%j exits with %i', async (args, status, message) => {
  const withConfig = args.includes('--config') ? args : [...args, '--config', assembly];
  const { status: exited, err } = await run(...withConfig);
  expect(exited).toBe(status);
  expect(err).toMatch(message);
});

test('refuses a folder with no gateway, or no synthesis', async () => {
  const { status, err } = await run('route', 'score', 'x', '--config', folder);
  expect(status).toBe(1);
  expect(err).toMatch(/has no manifest.json: it isn't what `cdk synth` writes/);
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { main } from '../../../bin/llm/main.ts';
import { hourlyRequests } from '../../../bin/llm/tco/cost.ts';
import { PRICES_VERSION } from '../../../bin/llm/tco/prices.ts';
import type { Report } from '../../../bin/llm/tco/report.ts';

const folder = mkdtempSync(join(tmpdir(), 'tco-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function tco(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const status = await main(['tco', ...args], io);
  return { status, out: out.join(''), err: err.join('') };
}

async function report(...args: string[]): Promise<Report> {
  const { status, out, err } = await tco(...args, '--json');
  expect([status, err]).toEqual([0, '']);
  return JSON.parse(out);
}

/** $10 per million tokens, 1,000 tokens a request: a cent a request. */
const DEAR = ['--input-usd', '10', '--output-usd', '10', '--input-tokens', '500', '--output-tokens', '500'];
const FLAT = ['--peak-factor', '1'];

describe('a month', () => {
  test('managed costs its tokens, and nothing for instances', async () => {
    const { costs } = await report(...DEAR, '--requests-per-day', '1000');
    expect(costs.managed.tokens).toBeCloseTo(0.01 * 1000 * 30.4, 6);
    expect(costs.managed).toMatchObject({ instances: 0, idle: 0, network: 0 });
    // API Gateway, two requests to Lambda, the ledger's writes, and 8 s of half a GB.
    const request = (3.5 + 2 * 0.2 + 4.25 * 0.625) / 1e6 + 8 * 0.5 * 0.0000133334;
    expect(costs.managed.gateway).toBeCloseTo(request * 1000 * 30.4, 6);
  });

  test('self-hosted costs whole instances, the idle part of them apart', async () => {
    // 24 million tokens a day are a million an hour: half an instance of two million.
    const { costs } = await report(...DEAR, ...FLAT, '--requests-per-day', '24000', '--tokens-per-hour', '2000000');
    const hour = 0.8048 + (0.08 * 200) / (30.4 * 24);
    expect(costs.selfHosted.instances).toBeCloseTo(30.4 * 24 * hour, 6);
    expect(costs.selfHosted.idle).toBeCloseTo(costs.selfHosted.instances / 2, 6);
    expect(costs.selfHosted).toMatchObject({ tokens: 0, mostInstances: 1 });
  });

  test('self-hosted runs its least instances when nobody asks', async () => {
    const { costs } = await report(...DEAR, '--requests-per-day', '1', '--min-instances', '2');
    expect(costs.selfHosted.mostInstances).toBe(2);
    expect(costs.selfHosted.idle / costs.selfHosted.instances).toBeGreaterThan(0.99);
  });

  test.each(['100', '5000', '40000', '1000000'])(
    'hybrid is never dearer in tokens and instances than either, at %s requests a day',
    async (requests) => {
      const { costs } = await report(...DEAR, '--requests-per-day', requests, '--min-instances', '0');
      const hybrid = costs.hybrid.tokens + costs.hybrid.instances;
      expect(hybrid).toBeLessThanOrEqual(costs.managed.tokens + 1e-6);
      expect(hybrid).toBeLessThanOrEqual(costs.selfHosted.instances + 1e-6);
    },
  );

  test('has engineering, where an hour of it costs something', async () => {
    const { costs } = await report('--engineer-usd', '100', '--self-hosted-hours', '30');
    expect([costs.managed.engineering, costs.hybrid.engineering, costs.selfHosted.engineering]).toEqual([
      200, 1200, 3000,
    ]);
  });
});

test('a day has all its requests, and the busiest hour as many more as was said', () => {
  for (const peak of [1, 1.5, 3, 10]) {
    const hours = hourlyRequests(2400, peak);
    expect(hours.reduce((sum, hour) => sum + hour)).toBeCloseTo(2400, 6);
    expect(Math.max(...hours)).toBeCloseTo(100 * peak, 3);
  }
});

test('the lines cross where both cost the same', async () => {
  const { crossings } = await report(...DEAR, ...FLAT);
  const crossing = crossings.find(({ below, above }) => below === 'managed' && above === 'selfHosted');
  const at = async (factor: number) =>
    (await report(...DEAR, ...FLAT, '--requests-per-day', String((crossing?.requestsPerDay ?? 0) * factor))).costs;
  const [before, after] = [await at(0.9), await at(1.1)];
  expect(before.managed.total).toBeLessThan(before.selfHosted.total);
  expect(after.managed.total).toBeGreaterThan(after.selfHosted.total);
});

test('every price is told with its source and date', async () => {
  const { out } = await tco();
  for (const what of [
    'g6.xlarge',
    'amazon.nova-lite-v1:0: output',
    'API Gateway',
    'DynamoDB',
    'NAT gateway',
    'EBS gp3',
  ]) {
    expect(out).toMatch(new RegExp(`^${what}.* (https://aws.amazon.com/\\S+|@pydantic/genai-prices .+)  .+$`, 'm'));
  }
  expect(JSON.parse(readFileSync('package.json', 'utf8')).dependencies['@pydantic/genai-prices']).toBe(PRICES_VERSION);
});

test('Spot is the given share of on-demand, and told as the assumption that it is', async () => {
  const { prices } = await report('--spot-factor', '0.5', '--instance', 'g6e.xlarge');
  expect(prices).toContainEqual({
    what: 'g6e.xlarge, Linux, Spot at 0.5 of on-demand (assumed, given)',
    usd: 1.861 / 2,
    per: 'hour',
    source: 'https://aws.amazon.com/ec2/pricing/on-demand/',
    date: 'August 2026',
  });
});

test('a file may describe the traffic, and flags come before it', async () => {
  const file = join(folder, 'profile.json');
  writeFileSync(file, JSON.stringify({ requestsPerDay: 50, outputTokens: 77 }));
  const { profile } = await report('--profile', file, '--requests-per-day', '60');
  expect(profile).toMatchObject({ requestsPerDay: 60, outputTokens: 77, inputTokens: 1000 });
});

test('the page loads nothing and says what the plot shows', async () => {
  const html = join(folder, 'tco.html');
  const { status, err } = await tco(...DEAR, '--html', html);
  expect([status, err]).toEqual([0, `wrote ${html}\n`]);
  const page = readFileSync(html, 'utf8');
  expect(page).not.toMatch(/(src|href)\s*=|@import|url\(|<script|NaN|Infinity|undefined/);
  expect(page).toMatch(/aria-label="Cost a month by requests a day\. At 10,000: managed \$/);
  expect(page.match(/<polyline/g)).toHaveLength(3);
});

test.each([
  [['--requests-per-day=-1'], /--requests-per-day must be a number between/],
  [['--requests-per-day', 'many'], /--requests-per-day must be a number/],
  [['--peak-factor', '0.5'], /--peak-factor must be a number between 1 and 24/],
  [['--instance', 'm5.large'], /--instance m5\.large is no known GPU type/],
  [['--instance', 'p5e.48xlarge'], /pass --instance-hourly-usd/],
  [['--model', 'nobody-knows'], /no price is known for model nobody-knows of aws: pass --input-usd/],
  [['--input-tokens', '0', '--output-tokens', '0'], /nothing to pay for/],
  [['--profile', '/does/not/exist.json'], /can't be read/],
  [['--requests', '5'], /Unknown option '--requests'/],
])('%j is a wrong use', async (args, message) => {
  const { status, err } = await tco(...args);
  expect(status).toBe(2);
  expect(err).toMatch(message);
});

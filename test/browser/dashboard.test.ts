/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';
import { findChromium, launch } from './chromium.ts';

const MINUTES = 60_000;
/** An hour of the run is two minutes: the meter runs every quarter of it. */
const SPEED = 30;

/** The stack with all that the dashboard can show, as `cdk deploy -c` would describe it. */
const CONTEXT = {
  preset: 'hybrid',
  models: [{ name: 'chat', backends: [{ fleet: 'main' }, { bedrock: 'amazon.nova-lite-v1:0' }], cache: {} }],
  tiers: [{ name: 'gold', monthlyBudgetUsd: 5 }, { name: 'free' }],
  consumers: [
    { name: 'alice', tier: 'gold' },
    { name: 'bob', tier: 'free' },
  ],
  features: ['search'],
  cache: { timeoutSeconds: 5, connectTimeoutSeconds: 5 },
  jobs: true,
  monthlyBudgetUsd: 0.001,
  alarmEmail: 'ops@example.com',
  failoverAlarms: true,
  // As the CDK's command line sets it.
  'aws:cdk:enable-path-metadata': true,
};

const executablePath = findChromium();
const isRequired = process.env.BROWSER === 'required';
const MISSING = 'there is no Chromium on this machine: install one, or name it in CHROMIUM; .ci/dashboard does';

const folder = mkdtempSync(join(tmpdir(), 'dashboard-'));
let run: LocalRun;
let browser: Browser;
let page: Page;
/** What a browser complains of. */
const complaints: string[] = [];

async function ask(consumer: string, content: string, more: object = {}, path = 'chat/completions'): Promise<void> {
  const body = { model: 'chat', max_tokens: 30, messages: [{ role: 'user', content }], ...more };
  const response = await fetch(`${run.url}/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${run.keys[consumer]}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  await response.text();
}

/** Some of everything that the dashboard shows: answers, hits of the cache, errors, jobs. */
async function traffic(round: number): Promise<void> {
  const metadata = { feature: 'search' };
  await Promise.all([
    ask('alice', `What about ${round}?`, { metadata, stream: true }),
    ask('bob', `And ${round}?`, { stream: true }),
    // Only answers that came to their end are kept.
    ask('bob', 'The same question', { max_tokens: 2000 }),
    ask('bob', 'Too hot', { temperature: 99 }),
    ask('alice', `Later: ${round}`, {}, 'jobs'),
  ]);
}

/** The browser, the model and all functions share this machine: the ledger may take longer than a second. */
function patience(assembly: string): void {
  for (const name of readdirSync(assembly, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('serving-config.json')) continue;
    const config = JSON.parse(readFileSync(join(assembly, name), 'utf8'));
    Object.assign(config.ledger, { timeoutMs: 20_000 });
    writeFileSync(join(assembly, name), JSON.stringify(config));
  }
}

beforeAll(async () => {
  if (executablePath === undefined) return;
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('../../bin/app.ts', import.meta.url))], {
    env: { PATH: process.env.PATH, CDK_OUTDIR: folder, CDK_CONTEXT_JSON: JSON.stringify(CONTEXT) },
  });
  patience(folder);
  run = await startLocal({
    assembly: folder,
    stateFolder: join(folder, 'state'),
    model: await createTextModel({ tokensPerSecond: 400, timeToFirstTokenMs: 20 }),
    speed: SPEED,
  });
  browser = await launch(executablePath);
  page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  await page.goto(new URL('/dashboard', run.url).href);
}, 5 * MINUTES);

afterAll(async () => {
  await browser?.close();
  await run?.close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(({ skip }) => {
  if (executablePath !== undefined) return;
  if (isRequired) throw new Error(MISSING);
  skip(MISSING);
});

interface Card {
  readonly title: string;
  /** Of a graph: `label: value`. */
  readonly legend: readonly string[];
  /** Of its curves: how many points each has, and how high it reaches, in parts of the plot. */
  readonly curves: ReadonlyArray<{ readonly points: number; readonly height: number }>;
  readonly text: string;
}

/** What somebody sees of the cards, from the page's own elements. */
const cards = (): Promise<Card[]> =>
  page.evaluate(() =>
    [...document.querySelectorAll('article.card')].map((card) => {
      const plot = card.querySelector('svg[role=img]');
      return {
        title: card.querySelector('h3')?.textContent ?? '',
        legend: [...card.querySelectorAll('.legend li')].map((item) => item.textContent ?? ''),
        curves: [...(plot?.querySelectorAll('polyline') ?? [])].map((line) => {
          const drawn = line.getBoundingClientRect();
          return {
            points: line.points.numberOfItems,
            height: drawn.height / (plot?.getBoundingClientRect().height ?? 1),
          };
        }),
        text: (card as HTMLElement).innerText,
      };
    }),
  );

const card = async (title: string): Promise<Card | undefined> => (await cards()).find((each) => each.title === title);

/** The number behind `label: `. */
function shownValue(shown: Card | undefined, label: string): number {
  const item = shown?.legend.find((each) => each.startsWith(`${label}: `));
  return number(item?.slice(label.length + 2) ?? '');
}

function number(text: string): number {
  const [, digits = 'none', unit = ''] = /^(-?[\d.]+(?:e[+-]?\d+)?)([kM]?)$/.exec(text.trim()) ?? [];
  return Number(digits) * ({ k: 1e3, M: 1e6 }[unit] ?? 1);
}

/** For a report with pictures: SCREENSHOTS=folder. */
async function screenshot(name: string): Promise<void> {
  const to = process.env.SCREENSHOTS;
  if (to === undefined) return;
  mkdirSync(to, { recursive: true });
  await page.screenshot({ path: join(to, `${name}.png`), fullPage: true });
}

/** Ratio of two colours' luminances, as WCAG has it. */
const worstContrast = (): Promise<{ readonly ratio: number; readonly text: string }> =>
  page.evaluate(() => {
    const channels = (color: string): number[] => (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
    const luminance = (color: string): number => {
      const [r = 0, g = 0, b = 0] = channels(color).map((value) => {
        const share = value / 255;
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = (element: Element | null): string => {
      for (let at = element; at !== null; at = at.parentElement) {
        const { backgroundColor } = getComputedStyle(at);
        if (!/^rgba\(.*, 0\)$|^transparent$/.test(backgroundColor)) return backgroundColor;
      }
      return 'rgb(255, 255, 255)';
    };
    const contrast = (a: string, b: string): number => {
      const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
      return (high + 0.05) / (low + 0.05);
    };
    const found = [...document.querySelectorAll('h1, h2, h3, p, li, b, .number, .muted, svg text, summary')].map(
      (element) => {
        const { color, fill } = getComputedStyle(element);
        const ratio = contrast(element instanceof SVGElement ? fill : color, background(element));
        return { ratio, text: element.textContent ?? '' };
      },
    );
    return found.reduce((worst, each) => (each.ratio < worst.ratio ? each : worst), { ratio: 99, text: 'nothing' });
  });

describe('the dashboard in a browser', () => {
  test('draws what requests just did: money, latency, errors, cache, fleet, jobs', {
    timeout: 15 * MINUTES,
  }, async () => {
    // The whole test is a few hours of the run.
    await page.locator('#minutes').selectOption('720');
    let round = 0;
    const drawn = (title: string, ...labels: string[]) =>
      expect
        .poll(
          async () => {
            round += 1;
            await traffic(round);
            const shown = await card(title);
            const low = labels.filter((label) => !(shownValue(shown, label) > 0));
            const flat = !shown?.curves.some(({ points, height }) => points > 0 && height >= 0);
            return { title: shown?.title, missing: low, flat };
          },
          { timeout: 4 * MINUTES, interval: 2000 },
        )
        .toEqual({ title, missing: [], flat: false });

    await drawn('Spend by model, USD an hour', 'chat');
    await drawn('Spend by tier, USD an hour', 'gold', 'free');
    await drawn('Spend by feature, USD an hour', 'search');
    await drawn('Saved by cached answers, USD an hour', 'chat');
    await drawn('Tokens an hour', 'chat: input', 'chat: output');
    await drawn('Time to first token (streams)', 'chat: median', 'chat: p95');
    await drawn('Output tokens a second of an answer', 'chat');
    await drawn('Duration of answers', 'chat: median', 'chat: p95');
    await drawn('Requests', 'chat');
    await drawn('Errors', 'API Gateway: 4xx');
    await drawn('Answered from the cache, %', 'chat');
    await drawn('Hits and misses', 'chat: hits', 'chat: misses');
    await drawn('Jobs that came to their end', 'succeeded');
    await drawn('Tasks and demand', 'tasks', 'requests');
    await drawn('Managed and fleets, USD an hour', 'managed', 'fleet main');
    await drawn('GPU-hours', 'GPU-hours');

    // Nothing waits for long here, and nothing is put aside: the plots are there, and say 0.
    for (const [title, label] of [
      ['Jobs that wait and could run', 'waiting'],
      ['Requests on a task', 'running'],
      ['Put aside', 'messages that no worker could handle'],
      ['Put aside', 'webhooks that were not delivered'],
    ] as const) {
      await expect
        .poll(async () => (await card(title))?.legend.some((each) => each.startsWith(`${label}: `)))
        .toBe(true);
    }
    expect(complaints).toEqual([]);
  });

  test('shows the numbers that the metrics have, and more of them with each request', async () => {
    const today = async () => number((await card('Today (UTC), USD'))?.text.split('\n')[1] ?? '');
    const before = await today();
    expect(before).toBeGreaterThan(0);
    await traffic(1000);
    await expect.poll(today, { timeout: MINUTES }).toBeGreaterThan(before);
    const budget = await card("Of the month's budget of $0.001");
    expect(number(budget?.text.split('\n')[1] ?? '')).toBeGreaterThan(0.001);
    const meter = page.locator('[role=meter]');
    expect(Number(await meter.getAttribute('aria-valuenow'))).toBeGreaterThan(0.001);
    expect(await meter.locator('div').evaluate((bar) => bar.getBoundingClientRect().width)).toBeGreaterThan(50);
  });

  test("shows the alarms' states, and the message that an alarm sent", { timeout: 3 * MINUTES }, async () => {
    await expect
      .poll(async () => (await card('Alarms'))?.text, { timeout: 2 * MINUTES })
      .toContain('in alarm Budget100');
    const states = page.locator('article .states li');
    // Those of money, of jobs and of failover.
    for (const name of ['Forecast', 'MeterSilent', 'DeadLettersAlarm', 'FailoverRate']) {
      expect(await states.filter({ hasText: name }).count()).toBe(1);
    }
    const message = page.locator('#messages details').filter({ hasText: 'ALARM: Budget100' }).first();
    await message.locator('summary').click();
    await expect.poll(() => message.innerText()).toContain('email ops@example.com');
    for (const part of ["100 % of the month's budget of $0.001 is spent", 'Who:', 'What to do:', 'Runbook:']) {
      expect(await message.innerText()).toMatch(new RegExp(`^${part.replace('$', '\\$')}`, 'm'));
    }
    expect(await message.innerText()).toMatch(/→ ALARM at \d{4}-\d\d-\d\dT.+, limit 0\.001$/m);
  });

  test.each(['light', 'dark'] as const)('can be read when it is %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const brightness = (background.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, each) => sum + Number(each), 0) / 3;
    expect(brightness > 128).toBe(colorScheme === 'light');
    // WCAG AA.
    const { ratio, text } = await worstContrast();
    expect(ratio, `contrast of "${text}"`).toBeGreaterThanOrEqual(4.5);
    await screenshot(colorScheme);
  });

  test.each([
    ['a telephone', 375, 700],
    ['a tablet', 820, 1100],
  ] as const)('fits on %s: nothing is cut off, and nothing too small to read', async (name, width, height) => {
    await page.setViewportSize({ width, height });
    // The page draws anew after it has fetched.
    const layout = () =>
      page.evaluate(() => ({
        beyond: document.documentElement.scrollWidth - window.innerWidth,
        cut: [...document.querySelectorAll('.card, .card h3, .legend li, .number')]
          .filter((element) => element.getBoundingClientRect().right > window.innerWidth + 1)
          .map((element) => element.textContent),
        smallest: Math.min(
          ...[...document.querySelectorAll<SVGTextElement>('svg[role=img] text')].map(
            (label) => label.getBoundingClientRect().height,
          ),
        ),
      }));
    await expect.poll(layout, { timeout: MINUTES }).toMatchObject({ beyond: 0, cut: [] });
    expect((await layout()).smallest).toBeGreaterThanOrEqual(10);
    await screenshot(name.replace('a ', ''));
  });

  test('gives a browser nothing to complain of', () => {
    expect(complaints).toEqual([]);
  });
});

import { performance } from 'node:perf_hooks';
import OpenAI, { APIError } from 'openai';
import { expect } from 'vitest';
import type { ServingDeps } from '../../lambda/serving/serve.ts';
import type { BackendConfig, ServingConfig } from '../../lib/private/serving-config.ts';
import { model, openAiBackend, servingConfig } from '../lambda/support/serving.ts';
import { Upstream } from '../lambda/support/upstream.ts';
import { FAULTY_TEXT, type Fault, HEALTHY_TEXT, healthy, rules } from './catalog.ts';
import { startGateway, type TestGateway } from './gateway.ts';

/** Short, so that a suite of faults that hang is through in minutes. */
const DEADLINES = { connectMs: 500, firstTokenMs: 250, betweenTokensMs: 250 };
/** For what is not to fail: a busy machine is no fault. */
const PATIENT = { connectMs: 2000, firstTokenMs: 2000, betweenTokensMs: 2000 };
/** Every request ends by then, whatever its backends do. */
const WHOLE_MS = 700;
const LIMIT_MS = 3000;

/** A backend with a fault, and the server behind it. */
export interface Faulty {
  readonly config: BackendConfig;
  readonly server: Upstream;
}

export async function startFaulty(fault: Fault | undefined, id: string): Promise<Faulty> {
  const server = await Upstream.start(fault?.answer ?? healthy);
  const url = fault?.baseUrl?.(Number(new URL(server.url).port)) ?? server.url;
  const deadlines = fault === undefined || fault.rule === rules.harmless ? PATIENT : DEADLINES;
  return { server, config: openAiBackend(url, { id, deadlines, ...fault?.overrides }) };
}

export interface ExchangeOptions {
  /** What else the process shares, broken or not. */
  readonly deps?: Partial<ServingDeps>;
  readonly env?: Record<string, string>;
  /** What else the configuration says: a ledger, tiers with limits. */
  readonly config?: Partial<ServingConfig>;
}

/**
 * One request to a gateway with these backends, in their order, and what holds whatever is broken: it ends in time, each
 * token is paid once, on its backend, and nothing fails in us.
 */
export async function exchange(
  backends: readonly BackendConfig[],
  streamed: boolean,
  { deps, env, config }: ExchangeOptions = {},
): Promise<Seen & { readonly log: TestGateway['log'] }> {
  const limits = { wholeAnswerTimeoutMs: WHOLE_MS, totalTimeoutMs: LIMIT_MS - 500 };
  const gateway = await startGateway(servingConfig([model([...backends])], { limits, ...config }), env, deps);
  const start = performance.now();
  const seen = await ask(gateway, streamed);
  const took = performance.now() - start;
  // Settled when the client has its answer.
  await expect.poll(() => gateway.log.some(({ message }) => message === 'chat completion')).toBe(true);
  await gateway.close();
  expect(took).toBeLessThan(LIMIT_MS);
  const { log } = gateway;
  const [line] = log.filter(({ message }) => message === 'chat completion');
  expect(billed(log, 'CostUsd')).toBeCloseTo((line?.CostUsd as number | undefined) ?? 0, 12);
  expect(log.filter(({ message }) => message === 'internal error')).toEqual([]);
  return { ...seen, log };
}

/** What the client saw, in a word. */
export function nameOf({ text, backend, error }: Seen): string {
  const isPart = text !== '' && FAULTY_TEXT.startsWith(text);
  if (error === 'APIError' && text !== '') return 'part, then APIError';
  if (error !== undefined) return error;
  if (backend === 'second' && text === HEALTHY_TEXT) return 'the next answers';
  if (text === FAULTY_TEXT) return 'answer';
  if (text === '') return 'poor answer';
  if (backend === 'faulty' && isPart) return 'part, as an answer';
  if (backend === 'faulty' && text.startsWith(FAULTY_TEXT.slice(0, 5)) && text.endsWith(HEALTHY_TEXT))
    return 'resumed by the next';
  return `unexpected: ${JSON.stringify({ text, backend })}`;
}

export interface Seen {
  readonly text: string;
  readonly backend: string | null;
  /** Status and class, as an application would catch it. */
  readonly error: string | undefined;
}

/** One chat completion by the OpenAI SDK, without the SDK's own retries. */
export async function ask({ url }: TestGateway, stream: boolean): Promise<Seen> {
  const client = new OpenAI({ baseURL: url, apiKey: 'x', maxRetries: 0, timeout: 10_000 });
  const messages = [{ role: 'user' as const, content: 'hello' }];
  let text = '';
  let backend: string | null = null;
  try {
    if (stream) {
      const { data, response } = await client.chat.completions
        .create({ model: 'chat', messages, stream })
        .withResponse();
      backend = response.headers.get('x-llm-backend');
      for await (const { choices } of data) text += choices[0]?.delta.content ?? '';
    } else {
      const { data, response } = await client.chat.completions.create({ model: 'chat', messages }).withResponse();
      backend = response.headers.get('x-llm-backend');
      text = data.choices[0]?.message.content ?? '';
    }
    return { text, backend, error: undefined };
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    return { text, backend, error: `${error.status === undefined ? '' : `${error.status} `}${error.constructor.name}` };
  }
}

/** Sums a metric that the log holds by backend. */
export function billed(log: ReadonlyArray<Record<string, unknown>>, name: string, backend?: string): number {
  return log
    .filter((line) => backend === undefined || line.backend === backend)
    .filter((line) => directivesOf(line).some((set) => set.dimensions.includes('backend') && set.names.includes(name)))
    .reduce((sum, line) => sum + (line[name] as number), 0);
}

function directivesOf(line: Record<string, unknown>): Array<{ dimensions: string[]; names: string[] }> {
  const { CloudWatchMetrics: sets = [] } = (line._aws ?? {}) as {
    CloudWatchMetrics?: { Dimensions: string[][]; Metrics: { Name: string }[] }[];
  };
  return sets.map((set) => ({ dimensions: set.Dimensions[0] ?? [], names: set.Metrics.map((metric) => metric.Name) }));
}

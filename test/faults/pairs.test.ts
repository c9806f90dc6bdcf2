import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Alone, FAULTS, type Fault, rules } from './catalog.ts';
import { holdsTable } from './document.ts';
import { exchange, type Faulty, nameOf, startFaulty } from './drive.ts';

const KEY = { KEY: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf' };
const AWS = {
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_REGION: 'us-east-1',
  // Nothing listens on the discard port.
  AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://127.0.0.1:9',
};
const SECRETS_DOWN: Fault = {
  name: 'Secrets Manager down',
  rule: rules.next,
  overrides: { auth: { type: 'secret', secretArn: { env: 'KEY' } } },
  stream: '502 InternalServerError',
  whole: '502 InternalServerError',
};

const faultNamed = (name: string): Fault => {
  const fault = FAULTS.find((each) => each.name === name);
  if (fault === undefined) throw new Error(`no fault ${name}`);
  return fault;
};
/** One for each way on from a first backend. After what is the client's fault there is none. */
const FIRSTS: readonly Fault[] = [
  SECRETS_DOWN,
  ...['connection refused', 'hang before headers', 'cut in mid-stream', '401', 'an empty answer'].map(faultNamed),
];

/** Each fault behind one of the first ones at least, and each rule behind all of them. */
function pairs(): Array<readonly [first: Fault, second: Fault]> {
  const harmful = FAULTS.filter(({ rule }) => rule !== rules.harmless);
  return Object.values(Object.groupBy(harmful, ({ rule }) => rule)).flatMap((sameRule = []) => {
    const count = Math.max(sameRule.length, FIRSTS.length);
    return Array.from({ length: count }, (_, index) => {
      const first = FIRSTS[index % FIRSTS.length] as Fault;
      return [first, sameRule[index % sameRule.length] as Fault] as const;
    });
  });
}

/** What a client can act upon comes first. */
const TELLING: readonly Alone[] = [
  '429 RateLimitError',
  '503 InternalServerError',
  '504 InternalServerError',
  '502 InternalServerError',
];

function expected(first: Fault, second: Fault, streamed: boolean): string {
  const [a, b] = streamed ? [first.stream, second.stream] : [first.whole, second.whole];
  // What began can only be gone on with; a continuation without a word says that there was nothing more.
  if (a === 'part, then APIError') return b === 'poor answer' ? 'part, as an answer' : a;
  // Better than none, and than what the second makes of the same request; but what has begun has begun.
  if (a === 'poor answer') return b === 'part, then APIError' ? b : a;
  return TELLING.includes(b) ? (TELLING.find((each) => each === a || each === b) ?? b) : b;
}

const PAIRS = pairs();
const cells = new Map<string, string>();
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);

beforeAll(() => {
  Object.assign(process.env, AWS);
  process.on('unhandledRejection', onUnhandled);
});
afterAll(() => {
  for (const name of Object.keys(AWS)) delete process.env[name];
  process.off('unhandledRejection', onUnhandled);
});

describe.each(PAIRS.map(([first, second]) => [`${first.name}, then ${second.name}`, first, second] as const))(
  '%s',
  (name, first, second) => {
    let backends: readonly Faulty[];
    beforeAll(async () => {
      backends = await Promise.all([startFaulty(first, 'faulty'), startFaulty(second, 'behind')]);
    });
    afterAll(() => Promise.all(backends.map(({ server }) => server.stop())));

    test.each([true, false])('streamed: %s', async (streamed) => {
      const configs = backends.map(({ config }) => config);
      const seen = await exchange(configs, streamed, { env: KEY });
      cells.set(`${name}/${streamed}`, nameOf(seen));
      expect(nameOf(seen)).toBe(expected(first, second, streamed));
      await new Promise(setImmediate);
      expect(unhandled).toEqual([]);
    });
  },
);

test('each rule meets each first fault', () => {
  const met = new Set(PAIRS.map(([first, second]) => `${first.name} ${second.rule}`));
  const harmful = Object.values(rules).filter((rule) => rule !== rules.harmless);
  expect(met.size).toBe(FIRSTS.length * harmful.length);
});

test('docs/failover.md holds the pairs (UPDATE_DOCS=1 writes them)', () => {
  const rows = PAIRS.map(([first, second]) => {
    const name = `${first.name}, then ${second.name}`;
    return [first.name, second.name, ...[true, false].map((each) => cells.get(`${name}/${each}`) ?? 'not run')];
  });
  holdsTable('pairs', ['the first', 'the second', 'streamed', 'whole'], rows);
});

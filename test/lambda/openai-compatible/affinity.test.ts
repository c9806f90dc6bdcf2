import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Affinity, type AffinityOptions, prefixKeys } from '../../../lambda/backends/openai-compatible/affinity.ts';
import { blockChain } from '../../../lambda/backends/openai-compatible/prompt-blocks.ts';

function affinityOf(options: Partial<AffinityOptions> = {}) {
  let time = 0;
  const affinity = new Affinity({ ttlMs: 60_000, maxTasks: 4, now: () => time, ...options });
  return {
    affinity,
    pass: (ms: number) => {
      time += ms;
    },
    /** A request that is answered by a task, and is over. */
    ask(task: string, keys: { own?: string[]; shared?: string[]; next?: string[] }): string | undefined {
      const placement = affinity.place({ own: [], shared: [], next: [], ...keys });
      placement.served(placement.cookie ?? task);
      placement.end();
      return placement.cookie;
    },
  };
}

describe('affinity', () => {
  test('prefers where the conversation was to where its beginning is', () => {
    const { ask } = affinityOf();
    ask('a', { shared: ['system'], next: ['turn-1'] });
    ask('b', { shared: ['other'], next: ['turn-2'] });
    expect(ask('c', { own: ['turn-2'], shared: ['system'] })).toBe('b');
  });

  test('prefers the longest prefix', () => {
    const { ask } = affinityOf();
    ask('a', { shared: ['short'] });
    ask('b', { shared: ['long'] });
    expect(ask('c', { shared: ['long', 'short'] })).toBe('b');
  });

  test('lets the load balancer choose anew where a prefix that others share goes, and a conversation stay', () => {
    const { ask, pass } = affinityOf({ sharedMs: 1_000 });
    ask('a', { shared: ['system'], next: ['turn-1'] });
    pass(1_001);
    expect(ask('b', { shared: ['system'] })).toBeUndefined();
    expect(ask('c', { shared: ['system'] })).toBe('b');
    expect(ask('c', { own: ['turn-1'] })).toBe('a');
  });

  test('forgets a cookie after its time, and one whose task is lost at once', () => {
    const { affinity, ask, pass } = affinityOf({ ttlMs: 1_000 });
    ask('a', { next: ['turn-1'] });
    pass(1_001);
    expect(ask('b', { own: ['turn-1'], next: ['turn-1'] })).toBeUndefined();
    const placement = affinity.place({ own: ['turn-1'], shared: [], next: [] });
    expect(placement.cookie).toBe('b');
    placement.lost();
    placement.end();
    expect(ask('c', { own: ['turn-1'] })).toBeUndefined();
  });

  test('keeps as many keys as it may, the latest ones', () => {
    const { affinity, ask } = affinityOf({ maxKeys: 10 });
    for (let i = 0; i < 100; i += 1) ask('a', { shared: [`p${i}`], next: [`t${i}`] });
    expect(affinity.size).toBe(20);
    expect(ask('b', { own: ['t0'] })).toBeUndefined();
    expect(ask('b', { own: ['t99'] })).toBe('a');
  });

  test('puts no more on one home than its share, whatever comes and goes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.record({ prefix: fc.integer({ min: 0, max: 3 }), ends: fc.boolean() }), { maxLength: 200 }),
        (maxTasks, requests) => {
          const { affinity } = affinityOf({ maxTasks });
          const running: Array<{ cookie: string; end: () => void }> = [];
          let task = 0;
          for (const { prefix, ends } of requests) {
            if (ends) running.shift()?.end();
            const keys = { own: [], shared: [`p${prefix}`], next: [] };
            const { cookie, served, end } = affinity.place(keys);
            if (cookie !== undefined) {
              const there = running.filter((other) => other.cookie === cookie).length;
              expect(there).toBeLessThan(Math.ceil((running.length + 1) / maxTasks));
            }
            task += 1;
            const home = cookie ?? `task-${task}`;
            served(home);
            running.push({ cookie: home, end });
          }
          for (const { end } of running) {
            end();
            // Twice is once.
            end();
          }
          expect(affinity.place({ own: [], shared: ['p0'], next: [] }).cookie).toSatisfy(
            (cookie) => cookie === undefined || requests.some(({ prefix }) => prefix === 0),
          );
        },
      ),
    );
  });
});

describe('keys of a prompt', () => {
  const chain = (length: number): string[] => Array.from({ length }, (_, i) => String(i + 1));

  test('are its last blocks and those at powers of two, the longest first', () => {
    expect(prefixKeys(chain(3))).toEqual(['3', '2', '1']);
    expect(prefixKeys(chain(40)).slice(0, 3)).toEqual(['40', '39', '38']);
    expect(prefixKeys(chain(40)).slice(-5)).toEqual(['16', '8', '4', '2', '1']);
    expect(prefixKeys([])).toEqual([]);
  });

  const messages = (...texts: string[]) => ({
    model: 'm',
    messages: texts.map((content, i) => ({ role: i % 2 === 0 ? ('user' as const) : ('assistant' as const), content })),
  });

  test('are those of its beginning, and no more, for what begins alike', () => {
    const text = 'a'.repeat(5_000);
    const one = blockChain('me', messages(text, 'b'.repeat(2_000)));
    const two = blockChain('me', messages(text, 'c'.repeat(2_000)));
    expect(one.slice(0, 4)).toEqual(two.slice(0, 4));
    expect(one.at(-1)).not.toBe(two.at(-1));
    expect(blockChain('you', messages(text)).some((hash) => one.includes(hash))).toBe(false);
  });

  test('are those of a conversation that goes on, wherever its messages end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 3_000 }), { minLength: 1, maxLength: 6 }),
        fc.string(),
        (texts, more) => {
          const before = blockChain('me', messages(...texts));
          expect(blockChain('me', messages(...texts, more)).slice(0, before.length)).toEqual(before);
        },
      ),
    );
  });

  test('are so many at most', () => {
    expect(blockChain('me', messages('x'.repeat(1_000_000)))).toHaveLength(256);
  });
});

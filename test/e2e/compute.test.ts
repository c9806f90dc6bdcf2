import OpenAI from 'openai';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';

const { folder, secrets } = inject('assembly');
let run: LocalRun | undefined;
afterEach(() => run?.close());

describe.each([
  { kind: 'lambda', perEnvironment: 1, streams: 24 },
  { kind: 'managed-instances', perEnvironment: 64, streams: 200 },
] as const)('streams at once on $kind', ({ kind, perEnvironment, streams }) => {
  const prompts = Array.from({ length: streams }, (_, i) => `Tell me about lighthouse number ${i * 7919}`);

  test('each client gets its own answer, whole, and the log tells numbers, not words', async () => {
    const lines: string[] = [];
    const failures: string[] = [];
    const started = await startLocal({
      assembly: folder,
      secrets,
      port: 0,
      model: await createTextModel({ tokensPerSecond: 200, timeToFirstTokenMs: 20 }),
      compute: kind === 'lambda' ? { kind } : { kind, concurrency: perEnvironment },
      log: (_, line) => lines.push(line),
      failure: (_, error) => failures.push(error.message),
    });
    run = started;
    const client = new OpenAI({ baseURL: started.url, apiKey: started.keys.standard, maxRetries: 0 });
    const answer = async (prompt: string, stream: boolean): Promise<string> => {
      const request = { model: 'bedrock', messages: [{ role: 'user' as const, content: prompt }], max_tokens: 60 };
      if (!stream) return (await client.chat.completions.create(request)).choices[0]?.message.content ?? '';
      return (await client.chat.completions.stream(request).finalContent()) ?? '';
    };

    const outcomes = await Promise.allSettled(prompts.map((prompt) => answer(prompt, true)));
    expect(failures).toEqual([]);
    const together = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason));
    const processes = started.pids.length;

    // The simulated model says the same to the same prompt.
    const alone = [await answer(prompts[3] ?? '', false), await answer(prompts[17] ?? '', false)];
    expect([together[3], together[17]]).toEqual(alone);
    expect(new Set(together).size).toBe(streams);
    for (const [i, text] of together.entries()) expect(text).toContain(String(i * 7919));

    // The authorizer is a function as well: at most as many processes as the handler has.
    if (perEnvironment === 1) expect(processes).toBeGreaterThanOrEqual(streams);
    else expect(processes).toBeLessThanOrEqual(2 * Math.ceil(streams / perEnvironment));

    const requestLines = (): string[] => lines.filter((line) => line.includes('"message":"chat completion"'));
    // A worker thread's output takes its time.
    await expect.poll(() => requestLines().length).toBe(streams + alone.length);
    const requests = requestLines().map((line) => JSON.parse(line));
    for (const request of requests) {
      expect(request).toMatchObject({ model: 'bedrock', consumer: 'standard', tier: 'standard', status: 200 });
      expect(request.InputTokens).toBeGreaterThan(0);
      expect(request.CostUsd).toBeGreaterThan(0);
    }
    expect(new Set(requests.map((request) => request.request_id)).size).toBe(requests.length);
    const log = lines.join('\n');
    expect(log).not.toContain('lighthouse');
    expect(log).not.toContain(started.keys.standard);
  }, 60_000);
});

import { Duration } from 'aws-cdk-lib';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { deploy, model, openAiBackend, servingConfig } from '../lambda/support/serving.ts';
import { fleetStack, type StartedFleet, startFleet } from '../local/support/fleet.ts';

/** The gateway's handler before a load balancer with three engines, each a process with a prefix cache of its own. */
const TASKS = 3;
let started: StartedFleet;
beforeAll(async () => {
  started = await startFleet(
    fleetStack({ tasks: TASKS, stickiness: Duration.hours(1), flags: ['--enable-prompt-tokens-details'] }),
    { secret: () => undefined, model: { answerTokens: 30 } },
  );
  await vi.waitFor(() => expect(started.fleet.service.healthyTasks).toHaveLength(TASKS), { timeout: 20_000 });
});

function gateway(sticky = true) {
  const fleet = { name: 'main', metricsNamespace: 'M', engine: 'vllm', cacheSalt: true, retryAfterMs: 1_000 };
  const backend = openAiBackend(`${started.fleet.url}/v1`, {
    model: 'test/model',
    deadlines: { connectMs: 2_000, firstTokenMs: 20_000, betweenTokensMs: 20_000 },
    ...(sticky && { fleet: { ...fleet, stickySeconds: 3600, maxTasks: TASKS } }),
  });
  return deploy(servingConfig([model([backend])], { limits: { totalTimeoutMs: 60_000 } }));
}

/** The share of prompt tokens that were in a task's cache. */
async function hitRate(chat: ReturnType<typeof gateway>['chat'], prompts: readonly string[]): Promise<number> {
  let hits = 0;
  let all = 0;
  for (const prompt of prompts) {
    const [system = '', user = ''] = prompt.split('|');
    const answer = await chat({
      model: 'chat',
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user },
      ],
    });
    expect(answer.status).toBe(200);
    const { usage } = answer.json as unknown as {
      usage: { prompt_tokens: number; prompt_tokens_details?: { cached_tokens: number } };
    };
    hits += usage.prompt_tokens_details?.cached_tokens ?? 0;
    all += usage.prompt_tokens;
  }
  return hits / all;
}

/** Four system prompts, each asked eight times by somebody else. */
function prompts(run: string): string[] {
  const systems = Array.from({ length: 4 }, (_, i) => `${run}: system prompt number ${i}. `.repeat(120));
  return Array.from({ length: 32 }, (_, i) => `${systems[i % 4]}|Question ${i} of somebody.`);
}

describe('requests that begin alike', () => {
  test('find their beginning in a cache, which they do not where the load balancer alone decides', async () => {
    const with_ = await hitRate(gateway().chat, prompts('with'));
    const without = await hitRate(gateway(false).chat, prompts('without'));
    // All but the first of each; of three tasks each has to compute each prompt once otherwise.
    expect(with_).toBeGreaterThan(0.8);
    expect(without).toBeLessThan(with_ - 0.1);
  });

  test('spread over all tasks when there are many at once', async () => {
    const { chat } = gateway();
    const [system = ''] = prompts('many')[0]?.split('|') ?? [];
    const most = new Map<string, number>();
    const watch = setInterval(() => {
      for (const { id, outstanding } of started.fleet.service.tasks) {
        most.set(id, Math.max(most.get(id) ?? 0, outstanding));
      }
    }, 5);
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        chat({
          model: 'chat',
          stream: true,
          messages: [
            { role: 'system', content: system },
            { role: 'user', content: `Question ${i}` },
          ],
        }),
      ),
    );
    clearInterval(watch);
    expect(answers.every(({ body }) => body.endsWith('data: [DONE]\n\n'))).toBe(true);
    expect(most.size).toBe(TASKS);
    expect(Math.max(...most.values())).toBeLessThanOrEqual(12);
  });

  test('go on elsewhere when their task has gone, and keep together there', async () => {
    const { chat } = gateway();
    const same = prompts('gone').filter((_, i) => i % 4 === 0);
    expect(await hitRate(chat, same.slice(0, 3))).toBeGreaterThan(0.5);
    const before = started.fleet.service.tasks.map(({ id }) => id);
    await started.fleet.service.deploy();
    // The old ones are listed until they have drained and stopped.
    const isOld = ({ id }: { readonly id: string }) => before.includes(id);
    await vi.waitFor(() => expect(started.fleet.service.tasks.some(isOld)).toBe(false), { timeout: 30_000 });
    expect(await hitRate(chat, same.slice(3))).toBeGreaterThan(0.6);
  });
});

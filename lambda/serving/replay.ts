import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredAnswer } from '../cache/contract.ts';
import type { ChatCompletion } from '../contract/openai.ts';
import type { ClientResponse } from './client-response.ts';
import { finishStream, STREAM_HEADERS, usageEvent } from './stream.ts';

export interface ReplayOptions {
  readonly client: ClientResponse;
  readonly headers: Readonly<Record<string, string>>;
  readonly isStream: boolean;
  readonly wantsUsage: boolean;
  readonly signal: AbortSignal;
  /** What it took to find it, USD. */
  readonly costUsd: number;
  onFirstOutput(): void;
}

/** Hands an earlier answer out again, in the form that is asked for now, and says what that saved. */
export async function replay(stored: StoredAnswer, options: ReplayOptions): Promise<void> {
  const { client, headers, signal } = options;
  if (!options.isStream) {
    const completion = { ...stored.completion(), usage: savedUsage(stored, options.costUsd) };
    client.commit(200, { ...headers, 'content-type': 'application/json' });
    await client.write(JSON.stringify(completion), signal);
    return;
  }
  const events = stored.events();
  client.commit(200, { ...headers, ...STREAM_HEADERS });
  options.onFirstOutput();
  if (stored.paceMs === 0) await client.write(Buffer.concat(events), signal);
  else {
    for (const [index, event] of events.entries()) {
      if (index > 0) await sleep(stored.paceMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await client.write(event, signal);
    }
  }
  finishStream(client, options.wantsUsage ? savedUsageEvent(stored, options.costUsd, events[0]) : undefined, signal);
}

function savedUsage(stored: StoredAnswer, costUsd: number): ChatCompletion['usage'] {
  const event = JSON.parse(savedUsageEvent(stored, costUsd, undefined).slice('data: '.length)) as {
    usage: ChatCompletion['usage'];
  };
  return event.usage;
}

/** The tokens are those of the answer; nobody has to be paid for them. */
function savedUsageEvent({ facts }: StoredAnswer, costUsd: number, sample: Uint8Array | undefined): string {
  const frame = (bytes: Uint8Array) => ({ bytes, output: false, usageOnly: true });
  const { inputTokens = 0, outputTokens = 0, cachedInputTokens = 0 } = facts.usage ?? {};
  return usageEvent(
    facts.usageEvent === undefined ? undefined : frame(Buffer.from(facts.usageEvent)),
    sample && frame(sample),
    {
      ...{ inputTokens, outputTokens, cachedInputTokens, cacheWriteTokens: 0, reasoningTokens: 0 },
      estimated: facts.estimated,
      costUsd,
      savedUsd: facts.costUsd,
    },
  );
}

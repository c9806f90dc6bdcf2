import type { ModelEvent, ModelStop, ModelUsage } from '../model/text-model.ts';
import type { CacheUse } from './prompt-cache.ts';

export interface StreamEvent {
  readonly type: string;
  readonly payload: object;
}

type Block =
  | { readonly kind: 'reasoning'; text: string }
  | { readonly kind: 'text'; text: string }
  | { readonly kind: 'toolUse'; readonly id: string; readonly name: string; input: string };

/** A signature as opaque as a real one: clients must hand it back unread. */
const signatureOf = (text: string): string => Buffer.from(`simulated:${text.length}`).toString('base64');

/** What ConverseStream sends for a model's events, in the service's order: blocks one after the other. */
export async function* converseEvents(events: AsyncIterable<ModelEvent>, cache: CacheUse): AsyncGenerator<StreamEvent> {
  const startedAt = performance.now();
  let started = false;
  let index = -1;
  let open: Block | undefined;
  const delta = (fields: object): StreamEvent => ({
    type: 'contentBlockDelta',
    payload: { contentBlockIndex: index, delta: fields },
  });
  function* close(): Generator<StreamEvent> {
    if (!open) return;
    if (open.kind === 'reasoning') yield delta({ reasoningContent: { signature: signatureOf(open.text) } });
    yield { type: 'contentBlockStop', payload: { contentBlockIndex: index } };
    open = undefined;
  }
  for await (const event of events) {
    if (!started) yield { type: 'messageStart', payload: { role: 'assistant' } };
    started = true;
    switch (event.type) {
      case 'text':
      case 'reasoning': {
        // Only tool use has a contentBlockStart.
        if (open?.kind !== event.type) {
          yield* close();
          index += 1;
        }
        const before = open?.kind === event.type ? open.text : '';
        open = { kind: event.type, text: before + event.text };
        yield delta(event.type === 'text' ? { text: event.text } : { reasoningContent: { text: event.text } });
        break;
      }
      case 'tool-call':
        yield* close();
        index += 1;
        open = { kind: 'toolUse', id: event.id, name: event.name, input: '' };
        yield {
          type: 'contentBlockStart',
          payload: { contentBlockIndex: index, start: { toolUse: { toolUseId: event.id, name: event.name } } },
        };
        break;
      case 'tool-arguments':
        yield delta({ toolUse: { input: event.fragment } });
        break;
      case 'end':
        yield* close();
        yield { type: 'messageStop', payload: { stopReason: stopReason(event.stop) } };
        yield {
          type: 'metadata',
          payload: { usage: tokenUsage(event.usage, cache), metrics: { latencyMs: elapsed(startedAt) } },
        };
        break;
    }
  }
}

/** Converse's answer. */
export async function converseAnswer(events: AsyncIterable<ModelEvent>, cache: CacheUse): Promise<object> {
  const startedAt = performance.now();
  const blocks: Block[] = [];
  for await (const event of events) {
    const last = blocks.at(-1);
    if (event.type === 'text' || event.type === 'reasoning') {
      if (last?.kind === event.type) last.text += event.text;
      else blocks.push({ kind: event.type, text: event.text });
    } else if (event.type === 'tool-call') {
      blocks.push({ kind: 'toolUse', id: event.id, name: event.name, input: '' });
    } else if (event.type === 'tool-arguments' && last?.kind === 'toolUse') {
      last.input += event.fragment;
    } else if (event.type === 'end') {
      return {
        output: { message: { role: 'assistant', content: blocks.map(contentBlock) } },
        stopReason: stopReason(event.stop),
        usage: tokenUsage(event.usage, cache),
        metrics: { latencyMs: elapsed(startedAt) },
      };
    }
  }
  throw new Error('the model ended without its end event');
}

function contentBlock(block: Block): object {
  if (block.kind === 'text') return { text: block.text };
  if (block.kind === 'reasoning') {
    return { reasoningContent: { reasoningText: { text: block.text, signature: signatureOf(block.text) } } };
  }
  return { toolUse: { toolUseId: block.id, name: block.name, input: parseInput(block.input) } };
}

/** Cut off by the token limit, the input is what could be read: the service gives an object in any case. */
function parseInput(input: string): unknown {
  try {
    return JSON.parse(input || '{}');
  } catch {
    return {};
  }
}

function stopReason(stop: ModelStop): string {
  switch (stop) {
    case 'length':
      return 'max_tokens';
    case 'tool-calls':
      return 'tool_use';
    case 'stop-sequence':
      return 'stop_sequence';
    default:
      return 'end_turn';
  }
}

/** `inputTokens` are those neither read from the cache nor written to it (Bedrock user guide, prompt caching). */
function tokenUsage(usage: ModelUsage, cache: CacheUse): object {
  const read = Math.min(cache.read, usage.inputTokens);
  const written = Math.min(cache.written, usage.inputTokens - read);
  return {
    inputTokens: usage.inputTokens - read - written,
    outputTokens: usage.outputTokens,
    totalTokens: usage.inputTokens + usage.outputTokens,
    cacheReadInputTokens: read,
    cacheWriteInputTokens: written,
  };
}

const elapsed = (startedAt: number): number => Math.round(performance.now() - startedAt);

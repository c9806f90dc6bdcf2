import type {
  ContentBlockDelta,
  ContentBlockStart,
  ConverseStreamOutput,
  ReasoningContentBlockDelta,
} from '@aws-sdk/client-bedrock-runtime';
import { BackendError, type Frame } from '../backend.ts';
import { ANSWER_TOOL } from './answer-tool.ts';
import { type AnswerHead, ChunkWriter } from './chunks.ts';
import { toFinishReason } from './stop-reason.ts';
import { toUsage } from './usage.ts';

export interface AnswerOptions extends AnswerHead {
  readonly backend: string;
  readonly modelId: string;
  /** The answer comes as the answer tool's input. */
  readonly throughTool: boolean;
  /**
   * `parallel_tool_calls: false`, which Converse can't say: calls after the first are left out, and the model makes
   * them again, should it still want to, when it has seen the first one's result.
   */
  readonly oneToolCall: boolean;
}

type Block =
  | { readonly kind: 'call'; readonly index: number; started: boolean }
  | { readonly kind: 'answer' }
  | { readonly kind: 'left-out' }
  | { readonly kind: 'reasoning'; text: string; signature: string };

/** ConverseStream's events as a chat completion's. Ends after the last event; throws when the end never came. */
export async function* toFrames(
  events: AsyncIterable<ConverseStreamOutput>,
  options: AnswerOptions,
): AsyncGenerator<Frame> {
  const translation = new Translation(options);
  for await (const event of events) {
    throwIfException(event);
    yield* translation.next(event);
  }
  if (!translation.stopped) {
    throw new BackendError(options.backend, 'protocol', 'the event stream ended before the message did');
  }
}

class Translation {
  stopped = false;
  readonly #options: AnswerOptions;
  readonly #write: ChunkWriter;
  readonly #blocks = new Map<number, Block>();
  #calls = 0;
  #answered = false;
  /** Text beside a JSON answer is chatter, unless no answer comes: kept until that is known. */
  #held = '';

  constructor(options: AnswerOptions) {
    this.#options = options;
    this.#write = new ChunkWriter(options);
  }

  *next(event: ConverseStreamOutput): Generator<Frame> {
    if (event.contentBlockDelta) {
      const { contentBlockIndex = 0, delta } = event.contentBlockDelta;
      if (delta) yield* this.#delta(contentBlockIndex, delta);
    } else if (event.contentBlockStart) {
      const { contentBlockIndex = 0, start } = event.contentBlockStart;
      if (start) yield* this.#start(contentBlockIndex, start);
    } else if (event.contentBlockStop) {
      yield* this.#stop(event.contentBlockStop.contentBlockIndex ?? 0);
    } else if (event.messageStart) {
      yield this.#write.role();
    } else if (event.messageStop) {
      yield* this.#end(event.messageStop.stopReason);
    } else if (event.metadata?.usage) {
      yield this.#write.usage(toUsage(event.metadata.usage, this.#options.modelId));
    }
  }

  *#start(index: number, start: ContentBlockStart): Generator<Frame> {
    const use = start.toolUse;
    if (!use) return;
    if (use.name === ANSWER_TOOL && this.#options.throughTool) {
      this.#blocks.set(index, { kind: this.#answered ? 'left-out' : 'answer' });
      this.#answered = true;
      return;
    }
    // The service runs its own tools itself (`server_tool_use`): they are none of the client's.
    if (use.type !== undefined || (this.#options.oneToolCall && this.#calls > 0)) {
      this.#blocks.set(index, { kind: 'left-out' });
      return;
    }
    const call = { id: use.toolUseId, type: 'function', function: { name: use.name, arguments: '' } };
    this.#blocks.set(index, { kind: 'call', index: this.#calls, started: false });
    yield this.#write.delta({ tool_calls: [{ index: this.#calls, ...call }] });
    this.#calls += 1;
  }

  *#delta(index: number, delta: ContentBlockDelta): Generator<Frame> {
    if (delta.text !== undefined) {
      if (this.#options.throughTool) this.#held += delta.text;
      else if (delta.text !== '') yield this.#write.delta({ content: delta.text });
    } else if (delta.toolUse) {
      const fragment = delta.toolUse.input ?? '';
      const block = this.#blocks.get(index);
      if (fragment === '') return;
      if (block?.kind === 'answer') yield this.#write.delta({ content: fragment });
      if (block?.kind === 'call') {
        block.started = true;
        yield this.#arguments(block.index, fragment);
      }
    } else if (delta.reasoningContent) {
      yield* this.#reasoning(index, delta.reasoningContent);
    }
  }

  *#reasoning(index: number, delta: ReasoningContentBlockDelta): Generator<Frame> {
    if (delta.redactedContent) {
      const data = Buffer.from(delta.redactedContent).toString('base64');
      yield this.#write.delta({ thinking_blocks: [{ type: 'redacted_thinking', data }] });
      return;
    }
    const known = this.#blocks.get(index);
    const block = known?.kind === 'reasoning' ? known : { kind: 'reasoning' as const, text: '', signature: '' };
    this.#blocks.set(index, block);
    block.signature += delta.signature ?? '';
    if (!delta.text) return;
    block.text += delta.text;
    yield this.#write.delta({ reasoning_content: delta.text });
  }

  *#stop(index: number): Generator<Frame> {
    const block = this.#blocks.get(index);
    if (block?.kind === 'reasoning' && block.signature !== '') {
      const thinking = { type: 'thinking', thinking: block.text, signature: block.signature };
      yield this.#write.delta({ thinking_blocks: [thinking] });
    }
    // A call without input has no fragments, but clients parse its arguments as JSON.
    if (block?.kind === 'call' && !block.started) yield this.#arguments(block.index, '{}');
  }

  *#end(stopReason: string | undefined): Generator<Frame> {
    this.stopped = true;
    if (this.#held !== '' && !this.#answered && this.#calls === 0) yield this.#write.delta({ content: this.#held });
    yield this.#write.finish(toFinishReason(stopReason, this.#calls > 0, this.#options.backend));
  }

  #arguments(index: number, fragment: string): Frame {
    return this.#write.delta({ tool_calls: [{ index, function: { arguments: fragment } }] });
  }
}

/** The SDK throws the exceptions that it knows; newer ones, and some by their wire names, come as events. */
function throwIfException(event: ConverseStreamOutput): void {
  for (const [name, value] of Object.entries(event)) {
    if (!name.endsWith('Exception') || typeof value !== 'object' || value === null) continue;
    const message = (value as { message?: unknown }).message;
    throw Object.assign(new Error(typeof message === 'string' ? message : name), { name });
  }
}

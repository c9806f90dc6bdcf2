import type { Frame } from '../backends/backend.ts';
import type { BackendConfig } from '../contract/config.ts';
import type { ChatCompletionRequest, ChatMessage } from '../contract/openai.ts';
import { deltaOf } from './frame-delta.ts';

/** The part of an answer that the client has. */
export interface Partial {
  readonly text: string;
  /** Something has begun that another model can't continue: a tool call's arguments, a refusal. */
  readonly isMore: boolean;
}

export function partialOf(sent: readonly Frame[]): Partial {
  const deltas = sent.map(deltaOf);
  return { text: deltas.map(({ content }) => content).join(''), isMore: deltas.some(({ isMore }) => isMore) };
}

/** Engines that go on with the last message themselves neither repeat nor comment anything. */
export const continuesItself = (config: BackendConfig): boolean =>
  config.kind === 'openai-compatible' && config.continueFinalMessage === true;

const INSTRUCTION =
  'Your last message was cut off by a technical fault. Continue it from exactly where it stopped, in the same ' +
  'language and format. Do not repeat any of it, do not comment on this, and begin with the very next character.';

/** As in `serving/estimate.ts`. */
const CHARACTERS_PER_TOKEN = 4;

/** The request that makes this backend go on with what the client has. */
export function continuation(
  request: ChatCompletionRequest,
  text: string,
  config: BackendConfig,
): ChatCompletionRequest {
  if (isNothing(text)) return request;
  if (!continuesItself(config)) return instructedContinuation(request, text);
  return { ...begun(request, text), continue_final_message: true, add_generation_prompt: false };
}

/** The request that makes any backend go on, by asking it to. */
export function instructedContinuation(request: ChatCompletionRequest, text: string): ChatCompletionRequest {
  if (isNothing(text)) return request;
  const next = begun(request, text);
  return { ...next, messages: [...next.messages, { role: 'user', content: INSTRUCTION }] };
}

/** A message of white space alone is refused by some, and no model is helped by it. */
const isNothing = (text: string): boolean => text.trim() === '';

function begun(request: ChatCompletionRequest, text: string): ChatCompletionRequest {
  const limit = request.max_completion_tokens;
  const rest =
    limit == null ? {} : { max_completion_tokens: Math.max(1, limit - Math.ceil(text.length / CHARACTERS_PER_TOKEN)) };
  return { ...request, ...rest, messages: withAnswer(request.messages, text) };
}

/** A client may have begun the answer itself. */
function withAnswer(messages: readonly ChatMessage[], text: string): readonly ChatMessage[] {
  const last = messages.at(-1);
  if (last?.role !== 'assistant' || typeof last.content !== 'string') {
    return [...messages, { role: 'assistant', content: text }];
  }
  return [...messages.slice(0, -1), { ...last, content: last.content + text }];
}

import type { SimpleRequestConfig } from '../../lib/private/serving-config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';

/** Why a request isn't a simple one. */
export type Complexity = 'long-prompt' | 'long-conversation' | 'tools' | 'json-schema' | 'images' | 'reasoning';

/** Efforts that ask for no more thought than an answer takes anyway. */
const LITTLE_EFFORT: ReadonlySet<string> = new Set(['none', 'minimal', 'low']);

/**
 * What makes a request more than a simple one; `undefined` for one that is simple.
 *
 * Nothing here ever shrinks while a conversation grows, so that one which has left the cheap backend never comes back to
 * it: it moves once at most, and with it the prefix that a backend has cached.
 */
export function complexityOf(
  request: ChatCompletionRequest,
  promptTokens: number,
  limits: SimpleRequestConfig,
): Complexity | undefined {
  const { messages, tools, response_format: format, reasoning_effort: effort } = request;
  if (!limits.tools && (tools?.length || messages.some(({ role, tool_calls: calls }) => role === 'tool' || calls))) {
    return 'tools';
  }
  if (!limits.jsonSchema && format?.type === 'json_schema') return 'json-schema';
  if (!limits.images && messages.some(hasMedia)) return 'images';
  if (!limits.reasoning && effort != null && !LITTLE_EFFORT.has(effort)) return 'reasoning';
  if (messages.filter(({ role }) => role === 'user').length > limits.maxTurns) return 'long-conversation';
  return promptTokens > limits.maxPromptTokens || limits.maxPromptTokens === 0 ? 'long-prompt' : undefined;
}

/** Images, and whatever else isn't text. A refusal is what an assistant said. */
const hasMedia = ({ content }: ChatCompletionRequest['messages'][number]): boolean =>
  Array.isArray(content) && content.some(({ type }) => type !== 'text' && type !== 'refusal');

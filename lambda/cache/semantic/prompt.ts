import type { SemanticCacheConfig } from '../../contract/config.ts';
import { textOf } from '../../contract/message-text.ts';
import type { ChatCompletionRequest, ChatMessage } from '../../contract/openai.ts';
import { isLegible } from './marks.ts';

export interface SemanticPrompt {
  /** What is compared: the user's last words. */
  readonly text: string;
  /** All else, which has to be the same. */
  readonly rest: ChatCompletionRequest;
}

/** Parameters under which an answer belongs to its own request alone, whatever they are set to. */
const OF_ITS_OWN = ['seed', 'logprobs', 'top_logprobs', 'prediction', 'audio', 'functions', 'function_call'] as const;

/** `undefined` for a request whose answer can't be another one's. */
export function semanticPrompt(
  request: ChatCompletionRequest,
  config: SemanticCacheConfig,
): SemanticPrompt | undefined {
  const fields = request as unknown as Record<string, unknown>;
  if (OF_ITS_OWN.some((name) => fields[name] != null && fields[name] !== false)) return undefined;
  if (!config.tools && (request.tools?.length ?? 0) > 0) return undefined;
  const format = (request.response_format as { type?: string } | null | undefined)?.type ?? 'text';
  if (!config.structuredOutput && format !== 'text') return undefined;
  const modalities = fields.modalities as readonly string[] | null | undefined;
  if (modalities?.some((modality) => modality !== 'text')) return undefined;
  const { messages } = request;
  const last = messages.at(-1);
  if (last?.role !== 'user' || !messages.every(isText)) return undefined;
  if (messages.filter(({ role }) => role === 'user').length > config.maxTurns) return undefined;
  const text = textOf(last).trim();
  if (text.length < config.minCharacters || text.length > config.maxCharacters) return undefined;
  if (config.guards !== 'none' && !isLegible(text)) return undefined;
  return { text, rest: { ...request, messages: [...messages.slice(0, -1), { ...last, content: null }] } };
}

/** Neither images, which no vector of a text shows, nor what tools said. */
function isText(message: ChatMessage): boolean {
  if (message.role === 'tool' || (message.role as string) === 'function') return false;
  if ((message.tool_calls?.length ?? 0) > 0) return false;
  return typeof message.content === 'string' || (message.content ?? []).every((part) => part.type === 'text');
}

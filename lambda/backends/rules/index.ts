import type { BackendConfigOf } from '../../contract/config.ts';
import type { ChatCompletionRequest } from '../../contract/openai.ts';
import type { Backend } from '../backend.ts';
import { createFixedReplies } from '../static-reply/index.ts';

/** Fixed replies by what the last message says: the first rule whose pattern matches. */
export function createRulesBackend(config: BackendConfigOf<'rules'>): Backend {
  const rules = config.rules.map(({ pattern, reply }) => ({ regex: new RegExp(pattern, 'iu'), reply }));
  const replyTo = (request: ChatCompletionRequest): string | undefined => {
    const text = lastUserText(request);
    return rules.find(({ regex }) => regex.test(text))?.reply ?? config.otherwise;
  };
  return {
    ...createFixedReplies(config.id, (request) => replyTo(request) ?? ''),
    declines: (request) => replyTo(request) === undefined,
  };
}

function lastUserText({ messages }: ChatCompletionRequest): string {
  const content = messages.findLast(({ role }) => role === 'user')?.content;
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part && typeof part.text === 'string' ? part.text : '')).join('\n');
}

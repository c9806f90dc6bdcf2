import type { BackendConfigOf } from '../../contract/config.ts';
import { textOf } from '../../contract/message-text.ts';
import type { ChatCompletionRequest } from '../../contract/openai.ts';
import { matchesPattern } from '../../contract/patterns.ts';
import type { Backend } from '../backend.ts';
import { createFixedReplies } from '../static-reply/index.ts';

/** Fixed replies by what the last message says: the first rule whose pattern matches. */
export function createRulesBackend(config: BackendConfigOf<'rules'>): Backend {
  const replyTo = (request: ChatCompletionRequest): string | undefined => {
    const last = request.messages.findLast(({ role }) => role === 'user');
    const text = last === undefined ? '' : textOf(last);
    return config.rules.find(({ pattern }) => matchesPattern(pattern, text))?.reply ?? config.otherwise;
  };
  return {
    ...createFixedReplies(config.id, (request) => replyTo(request) ?? ''),
    declines: (request) => replyTo(request) === undefined,
  };
}

import type { RoutingRuleConfig } from '../../lib/private/serving-config.ts';
import { textOf } from '../contract/message-text.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import { MATCHED_CHARACTERS, matchesPattern } from '../contract/patterns.ts';

/** What a rule may look at, beside the request itself. */
export interface RequestFacts {
  readonly consumer: string;
  readonly tier: string;
  readonly feature?: string | undefined;
}

/** Characters of a conversation that patterns are looked for in, all rules and messages of it. */
const SEARCHED_CHARACTERS = 4 * MATCHED_CHARACTERS;

/** The first rule whose conditions the request meets, all of them. */
export function ruleFor(
  rules: readonly RoutingRuleConfig[],
  request: ChatCompletionRequest,
  facts: RequestFacts,
): RoutingRuleConfig | undefined {
  let said: readonly string[] | undefined;
  return rules.find((rule) => {
    if (rule.tiers?.includes(facts.tier) === false) return false;
    if (rule.consumers?.includes(facts.consumer) === false) return false;
    if (rule.features !== undefined && !rule.features.includes(facts.feature ?? '')) return false;
    if (rule.metadata?.every(({ key, values }) => values.includes(metadataOf(request, key) ?? '')) === false)
      return false;
    if (rule.patterns === undefined) return true;
    said ??= saidByUser(request);
    return isSaid(rule, rule.patterns, said);
  });
}

/**
 * What sends a conversation to the cheap backend is in its first message, which stays what it is; what keeps one from it
 * may be said at any time, and stays said. So no rule takes a conversation to and fro.
 */
function isSaid({ route }: RoutingRuleConfig, patterns: readonly string[], said: readonly string[]): boolean {
  const searched = route === 'cheap' ? said.slice(0, 1) : said;
  return searched.some((text) => patterns.some((pattern) => matchesPattern(pattern, text)));
}

/** The user's messages in their order, as far as they are searched: a beginning, which doesn't change as more is said. */
function saidByUser({ messages }: ChatCompletionRequest): string[] {
  const texts: string[] = [];
  let room = SEARCHED_CHARACTERS;
  for (const message of messages) {
    if (message.role !== 'user') continue;
    if (room <= 0) break;
    const text = textOf(message).slice(0, Math.min(room, MATCHED_CHARACTERS));
    room -= text.length;
    texts.push(text);
  }
  return texts;
}

const metadataOf = ({ metadata }: ChatCompletionRequest, key: string): string | undefined =>
  metadata != null && Object.hasOwn(metadata, key) ? metadata[key] : undefined;

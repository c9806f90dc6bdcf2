import type { ContentBlock } from '@aws-sdk/client-bedrock-runtime';
import type { ChatCompletionRequest, ChatMessage } from '../../contract/openai.ts';
import { RequestProblem } from './request-problem.ts';
import { type BedrockConfig, modelFamily } from './settings.ts';

/** Anthropic's least budget of extended thinking, tokens. */
const MIN_BUDGET = 1_024;
/** Tokens of thinking that an effort buys. */
const BUDGETS: Readonly<Record<string, number>> = {
  minimal: MIN_BUDGET,
  low: 2_048,
  medium: 8_192,
  high: 16_384,
  xhigh: 32_768,
};
/** Of the output limit: thinking counts toward it, and some must be left for the answer. */
const BUDGET_SHARE = 0.8;

/** Whether it is an effort that can be translated; OpenAI may know others one day. */
export const isEffort = (value: unknown): boolean => typeof value === 'string' && Object.hasOwn(BUDGETS, value);

/** Whether Claude's extended thinking is on for this request; it forbids forced tools and sampling parameters. */
export function thinks(request: ChatCompletionRequest, config: BedrockConfig): boolean {
  return thinkingBudget(request, config) !== undefined;
}

/** Whether the answer's limit leaves no room for the least of thinking. */
export function lacksRoom(request: ChatCompletionRequest, config: BedrockConfig): boolean {
  const budget = thinkingBudget(request, config);
  return budget !== undefined && budget < MIN_BUDGET;
}

function thinkingBudget(request: ChatCompletionRequest, config: BedrockConfig): number | undefined {
  const effort = request.reasoning_effort;
  if (config.reasoning !== 'anthropic-budget' || !effort || effort === 'none') return undefined;
  // A turn of tool calls must begin with the thinking that led to it; a client that didn't keep it can't go on
  // thinking within that turn, only from the next question on.
  if (lacksThinking(request.messages)) return undefined;
  const limit =
    request.max_completion_tokens ?? request.max_tokens ?? config.maxOutputTokens ?? Number.POSITIVE_INFINITY;
  return Math.min(BUDGETS[effort] ?? MIN_BUDGET, Math.floor(limit * BUDGET_SHARE));
}

function lacksThinking(messages: readonly ChatMessage[]): boolean {
  const last = messages.findLast((message) => message.role === 'assistant' || message.role === 'user');
  return last?.role === 'assistant' && (last.tool_calls?.length ?? 0) > 0 && toReasoningBlocks(last).length === 0;
}

/** What of `additionalModelRequestFields` asks for the effort, in the model family's own words. @throws RequestProblem */
export function reasoningFields(request: ChatCompletionRequest, config: BedrockConfig): Record<string, unknown> {
  const effort = request.reasoning_effort;
  if (!effort || effort === 'none' || config.reasoning === undefined) return {};
  if (config.reasoning === 'anthropic-budget') {
    const budget = thinkingBudget(request, config);
    if (lacksRoom(request, config)) {
      const least = Math.ceil(MIN_BUDGET / BUDGET_SHARE);
      throw new RequestProblem(
        'reasoning_effort',
        `reasoning_effort needs a limit of at least ${least} output tokens; leave it out, or say 'none', to have a shorter answer`,
        { elsewhere: true },
      );
    }
    return budget === undefined ? {} : { thinking: { type: 'enabled', budget_tokens: budget } };
  }
  const atLeastLow = effort === 'minimal' ? 'low' : effort;
  switch (modelFamily(config.foundationModelId ?? config.modelId)) {
    case 'anthropic':
      return { thinking: { type: 'adaptive' }, output_config: { effort: atLeastLow } };
    case 'nova':
      // Nova knows low, medium and high.
      return { reasoningConfig: { type: 'enabled', maxReasoningEffort: atLeastLow === 'xhigh' ? 'high' : atLeastLow } };
    default:
      return { reasoning_effort: atLeastLow };
  }
}

/**
 * Reasoning with its signature, as clients get it (`thinking_blocks` of a message or a delta) and hand it back in the
 * assistant's message: a convention that several OpenAI-compatible gateways share, as OpenAI itself has none.
 */
export type ThinkingBlock =
  | { readonly type: 'thinking'; readonly thinking: string; readonly signature: string }
  | { readonly type: 'redacted_thinking'; readonly data: string };

export function toReasoningBlocks(message: ChatMessage): ContentBlock[] {
  if (!Array.isArray(message.thinking_blocks)) return [];
  return message.thinking_blocks.flatMap((given: unknown): ContentBlock[] => {
    const block = (given ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof block.data === 'string') {
      return [{ reasoningContent: { redactedContent: Buffer.from(block.data, 'base64') } }];
    }
    // Without its signature the service can't know that it is the model's own, and refuses it.
    if (typeof block.thinking !== 'string' || typeof block.signature !== 'string') return [];
    return [{ reasoningContent: { reasoningText: { text: block.thinking, signature: block.signature } } }];
  });
}

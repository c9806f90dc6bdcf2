import type { BedrockBackendConfig } from '../serving-config';

/** What a model can do through ConverseStream. */
export interface BedrockFeatures {
  readonly jsonSchema: BedrockBackendConfig['jsonSchema'];
  readonly reasoning?: BedrockBackendConfig['reasoning'];
  readonly images: boolean;
  readonly tools: boolean;
}

/** A model that isn't known here may do everything: Bedrock itself says clearly what it can't. */
const UNKNOWN: BedrockFeatures = { jsonSchema: 'tool', images: true, tools: true };

/**
 * By the foundation model's id; the first match counts.
 * Tools and images: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html
 * (tools: the column "streaming tool use"). Output config: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
 */
const FAMILIES: ReadonlyArray<readonly [pattern: RegExp, features: Partial<BedrockFeatures>]> = [
  // From 4.6 on thinking is adaptive: it takes an effort, and budgets are on their way out.
  [/^anthropic\.claude-(haiku|sonnet|opus)-(4-[6-9]|[5-9])/, { jsonSchema: 'output-config', reasoning: 'effort' }],
  [/^anthropic\.claude-(haiku|sonnet|opus)-4-5/, { jsonSchema: 'output-config', reasoning: 'anthropic-budget' }],
  [/^anthropic\.claude-((haiku|sonnet|opus)-4|3-7)/, { reasoning: 'anthropic-budget' }],
  [/^anthropic\.claude-3-5-haiku/, { images: false }],
  [/^anthropic\.claude-(v2|instant)/, { images: false, tools: false }],
  [/^amazon\.nova-2-(?!.*sonic)/, { reasoning: 'effort' }],
  [/^amazon\.nova-(micro|.*sonic)/, { images: false }],
  [/^amazon\.titan-text/, { images: false, tools: false }],
  [/^openai\.gpt-oss/, { reasoning: 'effort', images: false }],
  [/^meta\.llama(4|3-2-(11|90)b)/, { tools: false }],
  [/^meta\.llama/, { images: false, tools: false }],
  [/^mistral\.(pixtral|mistral-large-3|ministral|magistral)/, {}],
  [/^mistral\.mistral-(large|small)/, { images: false }],
  [/^mistral\.(mistral-7b|mixtral)/, { images: false, tools: false }],
  [/^cohere\.command-r/, { images: false }],
  [/^cohere\./, { images: false, tools: false }],
  [/^ai21\./, { images: false }],
  [/^deepseek\.r1/, { images: false, tools: false }],
  [/^deepseek\./, { images: false }],
  [/^qwen\.(?!.*vl)/, { images: false }],
];

export function featuresOf(foundationModelId: string | undefined): BedrockFeatures {
  const family = foundationModelId && FAMILIES.find(([pattern]) => pattern.test(foundationModelId));
  return { ...UNKNOWN, ...(family ? family[1] : {}) };
}

import type { GenerateRequest, JsonSchema, ModelMessage, ModelToolChoice } from '../model/text-model.ts';
import {
  type ConverseBody,
  isRecord,
  list,
  record,
  text,
  type WireBlock,
  type WireMessage,
} from './converse-shapes.ts';
import { invalid } from './errors.ts';

/** Converse's conversation in the neutral shape. */
export function toGenerateRequest(modelId: string, body: ConverseBody): GenerateRequest {
  const inference = record(body.raw.inferenceConfig);
  const extra = record(body.raw.additionalModelRequestFields);
  const systemText = body.system.map((block) => text(block.text)).join('\n');
  const system: ModelMessage[] = systemText ? [{ role: 'system', text: systemText }] : [];
  const tools = body.tools
    .map((tool) => record(tool.toolSpec))
    .filter((spec) => spec.name !== undefined)
    .map((spec) => ({
      name: text(spec.name),
      description: text(spec.description) || undefined,
      schema: record(record(spec.inputSchema).json),
    }));
  return {
    model: modelId,
    messages: [...system, ...body.messages.flatMap(toMessages)],
    tools,
    toolChoice: toToolChoice(body.toolChoice),
    jsonSchema: outputSchema(body),
    maxTokens: numberOf(inference.maxTokens),
    temperature: numberOf(inference.temperature),
    topP: numberOf(inference.topP),
    stop: list(inference.stopSequences).map(String),
    reasoning: 'thinking' in extra || 'reasoning_effort' in extra || 'reasoningConfig' in extra,
  };
}

function toMessages(message: WireMessage): ModelMessage[] {
  const results = message.content
    .filter((block) => 'toolResult' in block)
    .map((block): ModelMessage => {
      const result = record(block.toolResult);
      const parts = list(result.content).map(record);
      return {
        role: 'tool',
        toolCallId: text(result.toolUseId),
        text: parts.map((part) => ('json' in part ? JSON.stringify(part.json) : text(part.text))).join(''),
      };
    });
  const rest = message.content.filter((block) => 'text' in block || 'image' in block || 'toolUse' in block);
  if (rest.length === 0) return results;
  return [...results, toMessage(message.role, rest)];
}

function toMessage(role: 'user' | 'assistant', blocks: readonly WireBlock[]): ModelMessage {
  const images = blocks
    .filter((block) => 'image' in block)
    .map((block) => {
      const image = record(block.image);
      return {
        mediaType: `image/${text(image.format)}`,
        bytes: Buffer.from(text(record(image.source).bytes), 'base64'),
      };
    });
  const toolCalls = blocks
    .filter((block) => 'toolUse' in block)
    .map((block) => {
      const use = record(block.toolUse);
      return { id: text(use.toolUseId), name: text(use.name), arguments: JSON.stringify(use.input ?? {}) };
    });
  return {
    role,
    text: blocks
      .map((block) => text(block.text))
      .join('\n')
      .trim(),
    images,
    toolCalls,
  };
}

function toToolChoice(choice: Readonly<Record<string, unknown>> | undefined): ModelToolChoice {
  if (isRecord(choice?.tool)) return { name: text(choice.tool.name) };
  return choice && 'any' in choice ? 'required' : 'auto';
}

function outputSchema(body: ConverseBody): JsonSchema | undefined {
  const format = record(record(body.raw.outputConfig).textFormat);
  if (format.type !== 'json_schema') return undefined;
  const schema = record(record(format.structure).jsonSchema).schema;
  try {
    return record(JSON.parse(text(schema)));
  } catch {
    throw invalid('outputConfig.textFormat.structure.jsonSchema.schema is not valid JSON');
  }
}

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

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

/** Limits of the API reference (Converse, Message, InferenceConfiguration, ToolSpecification, prompt caching). */
const MAX_IMAGES = 20;
const MAX_IMAGE_BYTES = 3.75 * 1024 * 1024;
const MAX_CACHE_POINTS = 4;
const MAX_METADATA = 16;
const NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const METADATA_KEY = /^[a-zA-Z0-9\s._:/=+$@-]{1,256}$/;
const METADATA_VALUE = /^[a-zA-Z0-9\s._:/=+$@-]{0,256}$/;
const IMAGE_FORMATS = ['png', 'jpeg', 'gif', 'webp'];
const SERVICE_TIERS = ['default', 'flex', 'priority', 'reserved'];

/** Refuses what the service refuses, in its words. @throws ServiceError */
export function readConverse(raw: Record<string, unknown>): ConverseBody {
  const messages = list(raw.messages).map(readMessage);
  const system = list(raw.system).map(record);
  const toolConfig = isRecord(raw.toolConfig) ? raw.toolConfig : undefined;
  const tools = list(toolConfig?.tools).map(record);
  if (toolConfig && tools.length === 0) {
    throw invalid(
      "1 validation error detected: Value '[]' at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
  }
  checkTurns(messages);
  messages.forEach((message, index) => {
    checkBlocks(message, index, messages[index - 1], toolConfig !== undefined);
  });
  checkToolResults(messages);
  system.forEach((block, index) => {
    if ('text' in block && text(block.text).trim() === '') throw blank('SystemContentBlock', `system.${index}`);
  });
  tools.forEach(checkTool);
  checkCachePoints([...tools, ...system, ...messages.flatMap((message) => message.content)]);
  checkParameters(raw);
  return { messages, system, tools, toolChoice: record(toolConfig?.toolChoice), raw };
}

function readMessage(given: unknown, index: number): WireMessage {
  const message = record(given);
  if (message.role !== 'user' && message.role !== 'assistant') {
    throw invalid(
      `1 validation error detected: Value '${String(message.role)}' at 'messages.${index + 1}.member.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]`,
    );
  }
  const content = list(message.content).map(record);
  if (content.length === 0) {
    throw invalid(
      `The content field in the Message object at messages.${index} is empty. Add a ContentBlock object to the content field and try again.`,
    );
  }
  return { role: message.role, content };
}

function checkTurns(messages: readonly WireMessage[]): void {
  if (messages[0]?.role !== 'user') {
    throw invalid(
      'A conversation must start with a user message. Try again with a conversation that starts with a user message.',
    );
  }
  if (messages.some((message, index) => message.role === messages[index - 1]?.role)) {
    throw invalid(
      'A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.',
    );
  }
}

function checkBlocks(message: WireMessage, at: number, before: WireMessage | undefined, hasTools: boolean): void {
  let images = 0;
  message.content.forEach((block, index) => {
    const path = `messages.${at}.content.${index}`;
    if ('text' in block && text(block.text).trim() === '') throw blank('ContentBlock', path);
    if (('toolUse' in block || 'toolResult' in block) && !hasTools) {
      throw invalid('The toolConfig field must be defined when using toolUse and toolResult content blocks.');
    }
    if ('image' in block) {
      images += 1;
      checkImage(record(block.image), message.role, path);
    }
  });
  if (images > MAX_IMAGES) throw invalid(`too many images: ${images} > ${MAX_IMAGES}`);
  const uses = idsOf(before?.content ?? [], 'toolUse');
  const results = idsOf(message.content, 'toolResult');
  if (results.length > uses.length) {
    throw invalid(
      `The number of toolResult blocks at messages.${at}.content exceeds the number of toolUse blocks of previous turn.`,
    );
  }
}

function checkToolResults(messages: readonly WireMessage[]): void {
  messages.forEach((message, index) => {
    const uses = message.role === 'assistant' ? idsOf(message.content, 'toolUse') : [];
    const next = messages[index + 1];
    if (uses.length === 0) return;
    const results = idsOf(next?.content ?? [], 'toolResult');
    const missing = uses.filter((id) => !results.includes(id));
    if (missing.length > 0) {
      throw invalid(
        `Expected toolResult blocks at messages.${index + 1}.content for the following Ids: ${missing.join(', ')}`,
      );
    }
  });
}

const idsOf = (blocks: readonly WireBlock[], kind: 'toolUse' | 'toolResult'): string[] =>
  blocks.filter((block) => kind in block).map((block) => text(record(block[kind]).toolUseId));

function checkImage(image: Record<string, unknown>, role: string, path: string): void {
  if (role !== 'user') throw invalid(`${path}: images are only supported in user messages.`);
  if (!IMAGE_FORMATS.includes(text(image.format))) {
    throw invalid(
      `1 validation error detected: Value '${text(image.format)}' at '${path}.image.format' failed to satisfy constraint: Member must satisfy enum value set: [gif, jpeg, png, webp]`,
    );
  }
  const bytes = Buffer.from(text(record(image.source).bytes), 'base64').length;
  if (bytes === 0) throw invalid(`The model returned the following errors: ${path}: Could not process image`);
  if (bytes > MAX_IMAGE_BYTES) {
    throw invalid(`The model returned the following errors: ${path}: image exceeds 3.75 MB maximum`);
  }
}

function checkTool(tool: WireBlock, index: number): void {
  if ('cachePoint' in tool) return;
  const spec = record(tool.toolSpec);
  const path = `toolConfig.tools.${index}.toolSpec`;
  if (!NAME.test(text(spec.name))) {
    throw invalid(
      `1 validation error detected: Value '${text(spec.name)}' at '${path}.name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+`,
    );
  }
  if (record(record(spec.inputSchema).json).type !== 'object') {
    throw invalid(`The value at ${path}.inputSchema.json.type must be one of the following: object.`);
  }
}

function checkCachePoints(blocks: readonly WireBlock[]): void {
  const count = blocks.filter((block) => 'cachePoint' in block).length;
  if (count > MAX_CACHE_POINTS) {
    throw invalid(
      `The model returned the following errors: A maximum of ${MAX_CACHE_POINTS} blocks with cache_control may be provided. Found ${count}.`,
    );
  }
}

function checkParameters(raw: Record<string, unknown>): void {
  const inference = record(raw.inferenceConfig);
  for (const name of ['temperature', 'topP']) {
    const value = inference[name];
    if (typeof value === 'number' && (value < 0 || value > 1)) {
      throw invalid(
        `1 validation error detected: Value '${value}' at 'inferenceConfig.${name}' failed to satisfy constraint: Member must have value ${value < 0 ? 'greater than or equal to 0' : 'less than or equal to 1'}`,
      );
    }
  }
  if (typeof inference.maxTokens === 'number' && inference.maxTokens < 1) {
    throw invalid(
      `1 validation error detected: Value '${inference.maxTokens}' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1`,
    );
  }
  const metadata = Object.entries(record(raw.requestMetadata));
  if (metadata.length > MAX_METADATA) throw invalid(`requestMetadata has more than ${MAX_METADATA} entries`);
  for (const [key, value] of metadata) {
    if (!METADATA_KEY.test(key) || !METADATA_VALUE.test(text(value))) {
      throw invalid(
        `1 validation error detected: Value at 'requestMetadata' failed to satisfy constraint: Map keys and values must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z0-9\\s._:/=+$@-]{1,256}]`,
      );
    }
  }
  const tier = record(raw.serviceTier).type;
  if (tier !== undefined && !SERVICE_TIERS.includes(text(tier))) {
    throw invalid(`1 validation error detected: Value '${text(tier)}' at 'serviceTier.type' is not known`);
  }
}

const blank = (type: string, path: string) =>
  invalid(`The text field in the ${type} object at ${path} is blank. Add text to the text field, and try again.`);

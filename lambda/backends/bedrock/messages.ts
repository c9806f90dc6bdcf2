import { createHash } from 'node:crypto';
import type { ContentBlock, Message, ToolResultContentBlock } from '@aws-sdk/client-bedrock-runtime';
import type { ChatMessage, ContentPart, ImagePart, ToolCall } from '../../contract/openai.ts';
import { MAX_IMAGES_PER_MESSAGE, toImageBlock } from './images.ts';
import { toReasoningBlocks } from './reasoning.ts';
import { RequestProblem } from './request-problem.ts';

/** Converse's turns alternate and begin with the user's; OpenAI's may begin with the assistant's, or be none at all. */
const OPENING = 'Begin.';
/** Converse refuses blank text. */
const EMPTY_RESULT = '(empty)';
/** API reference, ToolUseBlock. */
const TOOL_USE_ID = /^[a-zA-Z0-9_-]{1,64}$/;

export interface Conversation {
  /** System and developer messages, in their order. */
  readonly system: readonly string[];
  readonly turns: readonly Message[];
}

export interface ConversationOptions {
  /** Tell tool calls and their results as text: without tools in the request, Converse refuses the blocks. */
  readonly toolsAsText: boolean;
  /** Hand reasoning back: only while the model is asked to reason. */
  readonly withReasoning: boolean;
}

type Role = 'user' | 'assistant';

/** @throws RequestProblem */
export function toConversation(messages: readonly ChatMessage[], options: ConversationOptions): Conversation {
  const system: string[] = [];
  const turns: { role: Role; content: ContentBlock[] }[] = [];
  const append = (role: Role, blocks: readonly ContentBlock[]) => {
    if (blocks.length === 0) return;
    const last = turns.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else turns.push({ role, content: [...blocks] });
  };
  messages.forEach((message, index) => {
    const path = `messages[${index}]`;
    switch (message.role) {
      case 'system':
      case 'developer': {
        const text = textOf(message);
        if (text.trim() !== '') system.push(text);
        break;
      }
      case 'user':
        append('user', userBlocks(message, path));
        break;
      case 'assistant':
        append('assistant', assistantBlocks(message, path, options));
        break;
      default:
        append('user', [toolResult(message, path, options)]);
    }
  });
  if (turns[0]?.role !== 'user') turns.unshift({ role: 'user', content: [{ text: OPENING }] });
  turns.forEach(checkImages);
  return { system, turns: turns.map((turn, index) => (index === turns.length - 1 ? trimmedEnd(turn) : turn)) };
}

function userBlocks(message: ChatMessage, path: string): ContentBlock[] {
  const blocks = contentBlocks(message, path);
  if (!message.name) return blocks;
  // Converse has no name of a participant; the model should still know who speaks.
  const index = blocks.findIndex((block) => block.text !== undefined);
  return blocks.map((block, i) => (i === index ? { text: `${message.name}: ${block.text}` } : block));
}

function assistantBlocks(message: ChatMessage, path: string, options: ConversationOptions): ContentBlock[] {
  const reasoning = options.withReasoning ? toReasoningBlocks(message) : [];
  const content = contentBlocks(message, path);
  const refusal = typeof message.refusal === 'string' && content.length === 0 ? textBlocks(message.refusal) : [];
  const calls = (message.tool_calls ?? []).map((call, index) =>
    options.toolsAsText ? callAsText(call) : toolUse(call, `${path}.tool_calls[${index}]`),
  );
  return [...reasoning, ...content, ...refusal, ...calls];
}

function contentBlocks(message: ChatMessage, path: string): ContentBlock[] {
  if (typeof message.content === 'string') return textBlocks(message.content);
  return (message.content ?? []).flatMap((part, index): ContentBlock[] => {
    if (part.type === 'image_url') {
      return [{ image: toImageBlock((part as ImagePart).image_url.url, `${path}.content[${index}]`) }];
    }
    return textBlocks(textOfPart(part));
  });
}

const textBlocks = (text: string): ContentBlock[] => (text.trim() === '' ? [] : [{ text }]);

function toolUse(call: ToolCall, path: string): ContentBlock {
  const param = `${path}.function.arguments`;
  let input: unknown;
  try {
    input = JSON.parse(call.function.arguments.trim() || '{}');
  } catch {
    throw new RequestProblem(param, `${param} is not JSON`);
  }
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new RequestProblem(param, `${param} is not a JSON object`);
  }
  return {
    toolUse: {
      toolUseId: toolUseId(call.id),
      name: call.function.name,
      input: input as NonNullable<NonNullable<ContentBlock['toolUse']>['input']>,
    },
  };
}

function toolResult(message: ChatMessage, path: string, options: ConversationOptions): ContentBlock {
  const id = message.tool_call_id;
  if (!id) throw new RequestProblem(`${path}.tool_call_id`, `${path}.tool_call_id is missing`);
  if (options.toolsAsText) return { text: `[Result of tool call ${id}]\n${textOf(message) || EMPTY_RESULT}` };
  const content = contentBlocks(message, path).map(
    (block): ToolResultContentBlock => (block.image ? { image: block.image } : { text: block.text ?? '' }),
  );
  return {
    toolResult: { toolUseId: toolUseId(id), content: content.length > 0 ? content : [{ text: EMPTY_RESULT }] },
  };
}

const callAsText = (call: ToolCall): ContentBlock => ({
  text: `[Tool call ${call.id}: ${call.function.name}(${call.function.arguments})]`,
});

/** A conversation that began on another backend has ids of that backend's kind; the same one always maps to the same. */
function toolUseId(id: string): string {
  return TOOL_USE_ID.test(id) ? id : `id_${createHash('sha256').update(id).digest('hex').slice(0, 40)}`;
}

function checkImages(turn: { content: ContentBlock[] }): void {
  const count = turn.content.filter((block) => block.image).length;
  if (count > MAX_IMAGES_PER_MESSAGE) {
    throw new RequestProblem(
      'messages',
      `messages has a user turn with ${count} images: at most ${MAX_IMAGES_PER_MESSAGE} are allowed`,
    );
  }
}

/** An answer that the model is to go on with may not end in white space. */
function trimmedEnd(turn: { role: Role; content: ContentBlock[] }): Message {
  const last = turn.content.at(-1);
  if (turn.role !== 'assistant' || last?.text === undefined) return turn;
  return { role: turn.role, content: [...turn.content.slice(0, -1), { text: last.text.trimEnd() }] };
}

function textOf(message: ChatMessage): string {
  if (typeof message.content === 'string') return message.content;
  return (message.content ?? []).map(textOfPart).join('');
}

function textOfPart(part: ContentPart): string {
  const { text, refusal } = part as Readonly<Record<string, unknown>>;
  if (typeof text === 'string') return text;
  return typeof refusal === 'string' ? refusal : '';
}

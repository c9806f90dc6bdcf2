import type { ContentBlock, ConverseCommandOutput } from '@aws-sdk/client-bedrock-runtime';
import type { ChatCompletion, ToolCall } from '../../contract/openai.ts';
import { BackendError, type WholeAnswer } from '../backend.ts';
import { ANSWER_TOOL } from './answer-tool.ts';
import type { ThinkingBlock } from './reasoning.ts';
import type { AnswerOptions } from './response-stream.ts';
import { toFinishReason } from './stop-reason.ts';
import { toCompletionUsage, toUsage } from './usage.ts';

/** Converse's answer as a chat completion. */
export function toCompletion(output: ConverseCommandOutput, options: AnswerOptions): WholeAnswer {
  const blocks = output.output?.message?.content;
  if (!blocks) throw new BackendError(options.backend, 'protocol', 'the answer has no message');
  const calls = toToolCalls(blocks, options);
  const content = toContent(blocks, options, calls.length > 0);
  const reasoning = blocks.map((block) => block.reasoningContent?.reasoningText?.text ?? '').join('');
  const thinking = blocks.flatMap(toThinkingBlock);
  const usage = output.usage && toUsage(output.usage, options.modelId);
  const completion: ChatCompletion = {
    id: options.id,
    object: 'chat.completion',
    created: options.created,
    model: options.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: content === '' && calls.length > 0 ? null : content,
          refusal: null,
          ...(reasoning !== '' && { reasoning_content: reasoning }),
          ...(thinking.length > 0 && { thinking_blocks: thinking }),
          ...(calls.length > 0 && { tool_calls: calls }),
        },
        logprobs: null,
        finish_reason: toFinishReason(output.stopReason, calls.length > 0, options.backend),
      },
    ],
    ...(usage && { usage: toCompletionUsage(usage) }),
  };
  return { completion, ...(usage && { usage }) };
}

function toContent(blocks: readonly ContentBlock[], options: AnswerOptions, hasCalls: boolean): string {
  const text = blocks.map((block) => block.text ?? '').join('');
  if (!options.throughTool) return text;
  const answer = blocks.find((block) => block.toolUse?.name === ANSWER_TOOL)?.toolUse;
  if (answer) return JSON.stringify(answer.input ?? {});
  return hasCalls ? '' : text;
}

function toToolCalls(blocks: readonly ContentBlock[], options: AnswerOptions): ToolCall[] {
  const calls = blocks.flatMap(({ toolUse }): ToolCall[] => {
    if (!toolUse || toolUse.type !== undefined) return [];
    if (toolUse.name === ANSWER_TOOL && options.throughTool) return [];
    const fn = { name: toolUse.name ?? '', arguments: JSON.stringify(toolUse.input ?? {}) };
    return [{ id: toolUse.toolUseId ?? '', type: 'function', function: fn }];
  });
  return options.oneToolCall ? calls.slice(0, 1) : calls;
}

function toThinkingBlock({ reasoningContent }: ContentBlock): ThinkingBlock[] {
  if (reasoningContent?.redactedContent) {
    return [{ type: 'redacted_thinking', data: Buffer.from(reasoningContent.redactedContent).toString('base64') }];
  }
  const { text, signature } = reasoningContent?.reasoningText ?? {};
  return text !== undefined && signature ? [{ type: 'thinking', thinking: text, signature }] : [];
}

import type { ChatCompletionRequest } from '../../contract/openai.ts';
import type { BedrockConfig } from './settings.ts';

/**
 * JSON answers through a tool: models without native structured output are made to call this tool, and its input is
 * unwrapped back to the message's content. No tool of a client's can have this name by accident.
 */
export const ANSWER_TOOL = 'llm_serving_json_answer';

export interface AnswerTool {
  readonly description: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

/** The tool, if this request's answer goes through it. */
export function answerTool(request: ChatCompletionRequest, config: BedrockConfig): AnswerTool | undefined {
  const format = request.response_format;
  if (format?.type === 'json_object') {
    return {
      description: 'Gives the answer: call this with the JSON object that was asked for.',
      schema: { type: 'object', additionalProperties: true },
    };
  }
  if (format?.type !== 'json_schema' || config.jsonSchema !== 'tool') return undefined;
  const { name, description, schema } = format.json_schema;
  const about = description ? `: ${description}` : '';
  return {
    description: `Gives the answer as "${name}"${about}. Call this with the final answer.`,
    // Converse wants an object at the top (ToolSpecification), and so does OpenAI.
    schema: { ...(schema ?? {}), type: 'object' },
  };
}

/** Whether the model must call a tool: with extended thinking, Claude may not be made to. */
export function forcesTool(request: ChatCompletionRequest, config: BedrockConfig): boolean {
  const choice = request.tool_choice;
  if (answerTool(request, config)) return true;
  return choice === 'required' || (typeof choice === 'object' && choice !== null);
}

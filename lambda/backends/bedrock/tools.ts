import type { Tool, ToolChoice, ToolConfiguration } from '@aws-sdk/client-bedrock-runtime';
import type { ChatCompletionRequest, FunctionTool } from '../../contract/openai.ts';
import { ANSWER_TOOL, type AnswerTool } from './answer-tool.ts';
import type { BedrockConfig } from './settings.ts';

type Json = NonNullable<NonNullable<NonNullable<Tool['toolSpec']>['inputSchema']>['json']>;

/**
 * `undefined` when the model may call nothing: Converse has no `none`, so the tools themselves are withheld (and tool
 * calls of the past are told as text, since Converse refuses them without a tool configuration).
 */
export function toToolConfig(
  request: ChatCompletionRequest,
  config: BedrockConfig,
  answer: AnswerTool | undefined,
): ToolConfiguration | undefined {
  const offered = request.tool_choice === 'none' ? [] : (request.tools ?? []);
  const tools = offered.map((tool) => toTool(tool, config));
  if (answer) {
    tools.push({
      toolSpec: {
        name: ANSWER_TOOL,
        description: answer.description,
        inputSchema: { json: answer.schema as Json },
      },
    });
  }
  if (tools.length === 0) return undefined;
  const toolChoice = toToolChoice(request, offered.length > 0, answer !== undefined);
  return { tools, ...(toolChoice && { toolChoice }) };
}

function toTool(tool: FunctionTool, config: BedrockConfig): Tool {
  const { name, description, parameters, strict } = tool.function;
  return {
    toolSpec: {
      name,
      // Blank descriptions are refused.
      ...(description?.trim() && { description }),
      inputSchema: { json: { properties: {}, ...parameters, type: 'object' } as Json },
      // Models without native structured output refuse the field.
      ...(strict === true && config.jsonSchema === 'output-config' && { strict }),
    },
  };
}

function toToolChoice(request: ChatCompletionRequest, offered: boolean, answer: boolean): ToolChoice | undefined {
  const choice = request.tool_choice;
  if (offered && typeof choice === 'object' && choice !== null) return { tool: { name: choice.function.name } };
  // With tools and a JSON answer both, the model takes one of them: the answer tool is its way to finish.
  if (answer) return offered ? { any: {} } : { tool: { name: ANSWER_TOOL } };
  return choice === 'required' ? { any: {} } : undefined;
}

import type { ContentBlock, Message, SystemContentBlock, ToolConfiguration } from '@aws-sdk/client-bedrock-runtime';
import type { ModelFamily } from './settings.ts';

/**
 * Bedrock user guide, prompt caching: most models cache prefixes of 1,024 tokens or more, and none shorter. Four
 * characters make about a token; where a model's least is higher, a point that is too early is ignored.
 */
const MIN_PREFIX_CHARACTERS = 1_024 * 4;
/** A picture of a megapixel is some 1,500 tokens. */
const IMAGE_CHARACTERS = 1_500 * 4;

export interface Prompt {
  readonly toolConfig: ToolConfiguration | undefined;
  readonly system: readonly SystemContentBlock[];
  readonly turns: readonly Message[];
}

const cachePoint = { cachePoint: { type: 'default' } } as const;

/**
 * Places at most three of the four cache points that a request may have: after the tools, after the system prompt, and
 * after the last user turn before the newest one. The newest turn is not written: a single question would pay for a
 * cache entry that nobody reads, and in a conversation the next request writes it.
 */
export function withCachePoints(prompt: Prompt, family: ModelFamily): Prompt {
  const toolSize = size(prompt.toolConfig?.tools);
  const systemSize = toolSize + size(prompt.system);
  const at = stableTurn(prompt.turns, family);
  const turnsSize = systemSize + prompt.turns.slice(0, at + 1).reduce((sum, turn) => sum + size(turn.content), 0);
  const { toolConfig, system, turns } = prompt;
  return {
    toolConfig:
      // Only Claude takes a point among the tools; others refuse the whole request.
      toolConfig && family === 'anthropic' && toolSize >= MIN_PREFIX_CHARACTERS
        ? { ...toolConfig, tools: [...(toolConfig.tools ?? []), cachePoint] }
        : toolConfig,
    system: system.length > 0 && systemSize >= MIN_PREFIX_CHARACTERS ? [...system, cachePoint] : system,
    turns:
      at >= 0 && turnsSize >= MIN_PREFIX_CHARACTERS
        ? turns.map((turn, index) =>
            index === at ? { ...turn, content: [...(turn.content ?? []), cachePoint] } : turn,
          )
        : turns,
  };
}

function stableTurn(turns: readonly Message[], family: ModelFamily): number {
  const newest = turns.findLastIndex((turn) => turn.role === 'user');
  return turns.findLastIndex(
    (turn, index) =>
      index < newest &&
      turn.role === 'user' &&
      // Nova refuses a point right after a tool's result.
      (family === 'anthropic' || turn.content?.at(-1)?.text !== undefined),
  );
}

function size(blocks: readonly unknown[] | undefined): number {
  return (blocks ?? []).reduce<number>((sum, block) => {
    const image = (block as ContentBlock).image;
    return sum + (image ? IMAGE_CHARACTERS : JSON.stringify(block).length);
  }, 0);
}

import type { ChatMessage } from './openai.ts';

/** The text of a message, its parts on lines of their own. */
export function textOf({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part && typeof part.text === 'string' ? part.text : '')).join('\n');
}

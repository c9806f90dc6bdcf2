import type { Frame } from '../backends/backend.ts';

/** What one event of a stream adds to the answer's first choice. */
export interface Delta {
  readonly content: string;
  readonly reasoning: string;
  readonly callsTools: boolean;
  /** Nothing that a client would show or act upon. */
  readonly isEmpty: boolean;
}

const NOTHING: Delta = { content: '', reasoning: '', callsTools: false, isEmpty: true };

/** Read only where an answer is judged or resumed: on the usual way nobody looks into a frame. */
export function deltaOf(frame: Frame): Delta {
  const { choices } = parseFrame(frame) as { choices?: ReadonlyArray<{ delta?: Record<string, unknown> | null }> };
  const delta = choices?.[0]?.delta;
  if (delta == null) return NOTHING;
  const content = textOf(delta.content);
  const reasoning = textOf(delta.reasoning_content ?? delta.reasoning);
  const callsTools = Array.isArray(delta.tool_calls) && delta.tool_calls.length > 0;
  const isEmpty = Object.entries(delta).every(
    ([key, value]) => key === 'role' || value == null || value === '' || isEmptyList(value),
  );
  return { content, reasoning, callsTools, isEmpty };
}

export const parseFrame = (frame: Frame): Record<string, unknown> =>
  JSON.parse(Buffer.from(frame.bytes).toString().slice('data: '.length)) as Record<string, unknown>;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

const isEmptyList = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

import type { Frame } from '../backends/backend.ts';

/** What one event of a stream adds to the answer's first choice. */
export interface Delta {
  readonly content: string;
  readonly reasoning: string;
  /** More than text and thoughts: a tool call, a refusal, sound. Nobody else can go on with that. */
  readonly isMore: boolean;
  /** Nothing that a client would show or act upon. */
  readonly isEmpty: boolean;
}

const NOTHING: Delta = { content: '', reasoning: '', isMore: false, isEmpty: true };
const TEXT_AND_THOUGHTS: ReadonlySet<string> = new Set([
  'role',
  'content',
  'reasoning_content',
  'reasoning',
  'reasoning_details',
  'thinking_blocks',
]);

/** Read only where an answer is judged or resumed: on the usual way nobody looks into a frame. */
export function deltaOf(frame: Frame): Delta {
  const { choices } = parseFrame(frame) as { choices?: ReadonlyArray<{ delta?: Record<string, unknown> | null }> };
  const delta = choices?.[0]?.delta;
  if (delta == null) return NOTHING;
  const content = textOf(delta.content);
  const reasoning = textOf(delta.reasoning_content ?? delta.reasoning);
  const said = Object.keys(delta).filter((key) => key !== 'role' && !isNothing(delta[key]));
  const isMore = said.some((key) => !TEXT_AND_THOUGHTS.has(key));
  return { content, reasoning, isMore, isEmpty: said.length === 0 };
}

export const parseFrame = (frame: Frame): Record<string, unknown> =>
  JSON.parse(Buffer.from(frame.bytes).toString().slice('data: '.length)) as Record<string, unknown>;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

const isNothing = (value: unknown): boolean =>
  value == null || value === '' || (Array.isArray(value) && value.length === 0);

import type { KillSwitchConfig } from '../../lib/private/kill-switch-config.ts';
import type { Pause } from '../usage/pauses.ts';

/** A message about a pause: what, how much, since when, who, and what to do. */
export interface Notice {
  readonly subject: string;
  readonly text: string;
}

const BY = {
  operator: 'An operator',
  alarm: 'The kill switch, on an alarm',
  limit: 'The kill switch, for a hard limit was crossed',
} as const;

const WHOSE = {
  model: (name: string) => `all requests for model ${name}`,
  consumer: (name: string) => `all requests of consumer ${name}`,
  team: (name: string) => `all requests of the consumers of team ${name}`,
} as const;

/** https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: fewer than 100 characters. */
const MAX_SUBJECT = 99;

export function noticeOf(
  { kind, name, since, until, by, reason, detail }: Pause,
  { namespace, table, runbook }: Pick<KillSwitchConfig, 'namespace' | 'table' | 'runbook'>,
): Notice {
  const subject = `Paused: ${kind} ${name} of ${namespace}`;
  const find = kind === 'consumer' ? `--by model,feature --consumer ${name}` : '--by consumer';
  const text = [
    `${capitalized(kind)} ${name} of ${namespace} is paused.`,
    `What: ${WHOSE[kind](name)} get 403, code ${kind}_paused. Those under way go on to their end; jobs wait.`,
    `How much: ${detail ?? 'not known'}`,
    `Since when: ${iso(since)}, ${until === undefined ? 'until somebody resumes it' : `until ${iso(until)}`}`,
    `Who: ${BY[by]}${reason === undefined ? '' : `; clients are told "${reason}"`}.`,
    `What to do: see what it was (llm-serving usage ${find} --table ${table}), then resume it: llm-serving resume ${kind} ${name} --table ${table}`,
    `Runbook: ${runbook}`,
  ].join('\n');
  return { subject: subject.length > MAX_SUBJECT ? `${subject.slice(0, MAX_SUBJECT - 3)}...` : subject, text };
}

const capitalized = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

const iso = (ms: number): string => new Date(ms).toISOString();

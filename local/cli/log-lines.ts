import { isObject } from '../cloudformation/template.ts';

export interface LogFormat {
  /** Stack traces and metrics, too. */
  readonly verbose: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Fields that say nothing to a person who reads along. */
const HIDDEN = new Set(['timestamp', 'time', 'level', 'message', 'msg', 'requestId', 'tenantId', '_aws']);

/** A line that a function wrote, for people: its time, the function, and JSON as `name=value`. */
export function readable(label: string, line: string, format: LogFormat): string {
  const time = new Date(format.now()).toISOString().slice(11, 19);
  const prefix = `${time} ${label}`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return `${prefix} ${line}`;
  }
  if (!isObject(parsed)) return `${prefix} ${line}`;
  const { message, msg, level, _aws } = parsed;
  const parts = [prefix];
  if (typeof level === 'string' && level !== 'INFO') parts.push(level);
  parts.push(messageText(message ?? msg, format));
  const metrics = format.verbose ? new Set<string>() : metricNames(_aws);
  for (const [name, value] of Object.entries(parsed)) {
    if (HIDDEN.has(name) || value === null || value === '-') continue;
    // A metric is of interest when it is not nothing.
    if (metrics.has(name) && (value === 0 || !KEPT_METRICS.has(name))) continue;
    parts.push(`${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
  }
  return parts.filter((part) => part !== '').join(' ');
}

const KEPT_METRICS = new Set(['InputTokens', 'OutputTokens', 'TimeToFirstToken', 'Duration', 'CostUsd', 'Fallbacks']);

function messageText(message: unknown, { verbose }: LogFormat): string {
  if (message === undefined) return '';
  if (typeof message === 'string') return message;
  if (!isObject(message) || message.errorType === undefined) return JSON.stringify(message);
  const error = `${String(message.errorType)}: ${String(message.errorMessage)}`;
  const stack = Array.isArray(message.stackTrace) ? message.stackTrace.slice(1).map(String) : [];
  return verbose && stack.length > 0 ? `${error}\n${stack.join('\n')}` : error;
}

/** Names of the metrics of a line in CloudWatch's embedded metric format. */
function metricNames(aws: unknown): Set<string> {
  const directives = isObject(aws) && Array.isArray(aws.CloudWatchMetrics) ? aws.CloudWatchMetrics : [];
  return new Set(
    directives.flatMap((directive: unknown) =>
      isObject(directive) && Array.isArray(directive.Metrics)
        ? directive.Metrics.map((metric: unknown) => (isObject(metric) ? String(metric.Name) : ''))
        : [],
    ),
  );
}

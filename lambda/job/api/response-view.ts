import type { ChatCompletion } from '../../contract/openai.ts';
import type { Job } from '../job.ts';
import { errorOf } from './job-view.ts';
import { seconds } from './scope.ts';

/** What a response repeats of its request. */
export interface ResponseForm {
  readonly instructions: unknown;
  readonly tools: unknown;
  readonly tool_choice: unknown;
  readonly parallel_tool_calls: unknown;
  readonly temperature: unknown;
  readonly top_p: unknown;
  readonly max_output_tokens: unknown;
  readonly text: unknown;
  readonly reasoning: unknown;
}

export function formOf(body: Readonly<Record<string, unknown>>): ResponseForm {
  return {
    instructions: body.instructions ?? null,
    tools: body.tools ?? [],
    tool_choice: body.tool_choice ?? 'auto',
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    temperature: body.temperature ?? null,
    top_p: body.top_p ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    text: body.text ?? { format: { type: 'text' } },
    reasoning: body.reasoning ?? { effort: null, summary: null },
  };
}

/** A job as a response of OpenAI's Responses API. */
export function responseView(job: Job, form = '{}', result?: string): object {
  const completion = result === undefined ? undefined : (JSON.parse(result) as ChatCompletion);
  const output = completion === undefined ? [] : outputOf(job, completion);
  const cut = completion?.choices[0]?.finish_reason === 'length';
  return {
    id: job.id,
    object: 'response',
    created_at: seconds(job.createdAt),
    completed_at: seconds(job.status === 'succeeded' ? job.endedAt : undefined),
    status: cut ? 'incomplete' : STATUS[job.status],
    background: true,
    model: job.model,
    ...(JSON.parse(form) as ResponseForm),
    error: errorView(job),
    incomplete_details: cut ? { reason: 'max_output_tokens' } : null,
    output,
    previous_response_id: null,
    store: true,
    truncation: 'disabled',
    metadata: job.metadata === undefined ? {} : JSON.parse(job.metadata),
    usage: completion?.usage === undefined ? null : usageOf(completion.usage),
  };
}

const STATUS: Readonly<Record<Job['status'], string>> = {
  queued: 'queued',
  running: 'in_progress',
  succeeded: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
  expired: 'failed',
};

function errorView(job: Job): object | null {
  const error = errorOf(job) as { code?: string | null; type?: string; message?: string } | null;
  return error === null ? null : { code: error.code ?? error.type ?? 'server_error', message: error.message ?? '' };
}

function outputOf(job: Job, completion: ChatCompletion): object[] {
  const [choice] = completion.choices;
  const message = choice?.message;
  const suffix = job.id.replace(/^resp_/, '');
  const status = choice?.finish_reason === 'length' ? 'incomplete' : 'completed';
  const calls = (message?.tool_calls ?? []).map((call, index) => ({
    type: 'function_call',
    id: `fc_${suffix}_${index}`,
    call_id: call.id,
    name: call.function.name,
    arguments: call.function.arguments,
    status,
  }));
  const text = message?.content ?? '';
  const refusal = message?.refusal;
  if (text === '' && refusal == null && calls.length > 0) return calls;
  const content =
    typeof refusal === 'string'
      ? [{ type: 'refusal', refusal }]
      : [{ type: 'output_text', text, annotations: [], logprobs: [] }];
  return [{ type: 'message', id: `msg_${suffix}`, role: 'assistant', status, content }, ...calls];
}

function usageOf(usage: NonNullable<ChatCompletion['usage']>): object {
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.prompt_tokens_details?.cached_tokens ?? 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: usage.completion_tokens_details?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens,
    cost_usd: usage.cost_usd ?? 0,
  };
}

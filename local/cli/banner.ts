import type { Fleet } from '../fleets.ts';
import type { LocalRun } from '../run.ts';
import { secretVariable } from '../secrets/given-values.ts';

export interface BannerFacts {
  readonly run: Pick<LocalRun, 'url' | 'apiKey' | 'keys' | 'dashboardUrl' | 'gaps' | 'missingSecrets' | 'fleets'>;
  /** Seconds that pass for fleets in a real one. */
  readonly speed: number;
  /** What answers for Bedrock. */
  readonly model: string;
  /** A model's name for the snippets. */
  readonly modelName: string;
  readonly endpointFile: string;
  readonly realAws: boolean;
}

function fleetLines(fleets: readonly Fleet[], model: string, speed: number): string {
  const lines = fleets.map(({ name, service, scaling, url }) => {
    const { kind } = service.definition.task.engine;
    const engine = kind === 'other' ? 'an engine' : kind;
    const size = scaling === undefined ? `${service.desired}` : `${scaling.limits.min} to ${scaling.limits.max}`;
    const now = service.desired === 0 ? 'asleep, a request wakes it' : `${service.desired} starting`;
    return `  ${name}: ${size} tasks of ${engine}, ${now}; load balancer at ${url ?? 'none'}`;
  });
  const pace = speed === 1 ? '' : `; ${speed} seconds pass for them in one (--speed 1: as on AWS)`;
  return [`Fleets, whose engines are simulated over ${model}${pace}:`, ...lines].join('\n');
}

/** What is printed when the API is ready. */
export function banner({ run, model, modelName, endpointFile, realAws, speed }: BannerFacts): string {
  const { url, apiKey, dashboardUrl } = run;
  const sections = [
    dashboardUrl === undefined
      ? `Ready: ${url}, the load balancer of the fleet: this assembly has no API before it`
      : `Ready: ${url}\nDashboard: ${dashboardUrl}`,
    Object.entries(run.keys)
      .map(([name, value]) => `API key of ${name}: ${value}`)
      .join('\n'),
    realAws ? 'Bedrock and the other services are the real ones: they cost money.' : `Bedrock: ${model}`,
    ...(run.fleets.length > 0 ? [fleetLines(run.fleets, model, speed)] : []),
    `  curl ${url}/chat/completions \\
    -H 'Authorization: Bearer ${apiKey}' -H 'Content-Type: application/json' \\
    -d '{"model":"${modelName}","messages":[{"role":"user","content":"Hello"}]}'`,
    `  node --input-type=module <<'JS'
  import OpenAI from 'openai';
  const client = new OpenAI({ baseURL: '${url}', apiKey: '${apiKey}' });
  const stream = await client.chat.completions.create({
    model: '${modelName}', stream: true, messages: [{ role: 'user', content: 'Hello' }],
  });
  for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '');
JS`,
    `Address and key for programs: ${endpointFile}`,
  ];
  if (run.missingSecrets.length > 0) {
    sections.push(
      [
        'Secrets without a value here (requests that need them fail); give them in secrets.json of the state folder (.local) as {"<name or ARN>": "<value>"}, or as variables:',
        ...run.missingSecrets.map((arn) => `  ${arn} (${secretVariable(arn.split(':').slice(6).join(':'))})`),
      ].join('\n'),
    );
  }
  if (run.gaps.length > 0) {
    sections.push(
      ['Not stood in for:', ...run.gaps.map(({ what, count, meaning }) => `  ${what} (${count}): ${meaning}`)].join(
        '\n',
      ),
    );
  }
  sections.push('Ctrl-C ends it.');
  return `\n${sections.join('\n\n')}\n`;
}

import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import type { MeterConfig } from '../../lib/private/meter-config.ts';
import { meter } from './meter.ts';
import { Metrics } from './metrics.ts';

/** Repeated from `lib/private/meter-config.ts`, of which only types may be imported; a test holds them equal. */
const METER_CONFIG_ENV = 'LLM_METER';

const config: MeterConfig = JSON.parse(process.env[METER_CONFIG_ENV] ?? '');
const client = new CloudWatchClient({ maxAttempts: 4, customUserAgent: 'cdk-llm-serving' });

/** @param event of the schedule; its time, and not the function's, so that a late run is for the time it was meant for */
export const handler = async (event: { readonly time?: string }): Promise<void> => {
  const given = Date.parse(event.time ?? '');
  const result = await meter(config, new Metrics(client), Number.isNaN(given) ? Date.now() : given);
  // Not by console.log: that would put the line as text into a line of its own.
  process.stdout.write(`${JSON.stringify({ level: 'INFO', message: 'metered', ...result })}\n`);
};

import { writeFileSync } from 'node:fs';
import type { Command } from '../command.ts';
import { htmlOf } from './plot.ts';
import { pricesOf } from './prices.ts';
import { readOptions } from './profile.ts';
import { reportOf, textOf } from './report.ts';

/** What a month costs managed, hybrid and self-hosted. */
export const tcoCommand: Command = {
  usage: `usage: llm-serving tco [options]

Compares what a month costs: managed models alone, a fleet of your own with managed models for what it can't take, and a
fleet alone; and from how much traffic on which is cheaper.

  --profile FILE            a JSON object with any of the options below, in camel case (requestsPerDay)
  --requests-per-day N      default 10000
  --input-tokens N          of a request, default 1000
  --output-tokens N         of an answer, default 300
  --cached-share S          input tokens from a prompt cache, 0 to 1, default 0
  --peak-factor F           the busiest hour over the average one, default 3
  --seconds-per-request S   how long an answer streams, default 8
  --provider NAME           of the managed model's price: aws (default), openai, anthropic, …
  --model NAME              the managed model, default amazon.nova-lite-v1:0
  --input-usd USD           its price per million input tokens, where it isn't known, and
  --output-usd USD          per million output tokens
  --instance TYPE           of the fleet, default g6.xlarge
  --instance-hourly-usd USD its price, where it isn't the list's
  --spot-factor F           what Spot costs of it: your assumption, default 1: on-demand
  --tokens-per-hour N       input and output tokens of a busy instance, default 1000000. Measure yours
  --min-instances N         of a fleet alone, also when nobody asks, default 1
  --managed-hours N         engineering a month: managed, default 2
  --hybrid-hours N          hybrid, default 12
  --self-hosted-hours N     self-hosted, default 20
  --engineer-usd USD        what an hour of it costs, default 0: not counted
  --html FILE               writes a page with a plot, too
  --json                    prints everything as JSON`,

  async run(args, io) {
    const { profile, html, json } = readOptions(args);
    const report = reportOf(profile, pricesOf(profile));
    if (html !== undefined) {
      writeFileSync(html, htmlOf(report));
      io.err(`wrote ${html}\n`);
    }
    io.out(json ? `${JSON.stringify(report, undefined, 2)}\n` : textOf(report));
  },
};

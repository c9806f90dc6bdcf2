import { GPU_INSTANCES, GPU_PRICE_DATE, GPU_PRICE_SOURCE } from '../../../lib/private/fleet/gpu-table.js';
import { lookUpPrice } from '../../../lib/private/price-lookup.js';
import { UsageError } from '../command.ts';
import type { Profile } from './profile.ts';

/** A price with where it is from, so that whoever reads the result can check it. */
export interface Price {
  readonly what: string;
  readonly usd: number;
  readonly per: string;
  readonly source: string;
  readonly date: string;
}

export interface Prices {
  readonly input: Price;
  readonly cachedInput: Price;
  readonly output: Price;
  readonly instance: Price;
  readonly apiRequest: Price;
  readonly lambdaRequest: Price;
  readonly lambdaSecond: Price;
  readonly ledgerUnit: Price;
  readonly loadBalancer: Price;
  readonly natGateway: Price;
  readonly disk: Price;
  readonly engineer: Price;
}

/** Of us-east-1, without a free tier. */
const DATE = 'November 2026';
const aws = (what: string, usd: number, per: string, page: string): Price => ({
  ...{ what, usd, per },
  source: `https://aws.amazon.com/${page}/pricing/`,
  date: DATE,
});

/** @throws UsageError when a price isn't known */
export function pricesOf(profile: Profile): Prices {
  return {
    ...tokenPrices(profile),
    instance: instancePrice(profile),
    apiRequest: aws('API Gateway REST API', 3.5, 'million requests', 'api-gateway'),
    lambdaRequest: aws('Lambda requests (handler and authorizer)', 0.2, 'million requests', 'lambda'),
    lambdaSecond: aws('Lambda on Arm', 0.0000133334, 'GB-second', 'lambda'),
    ledgerUnit: aws('DynamoDB on demand, the ledger', 0.625, 'million write units', 'dynamodb'),
    loadBalancer: aws('Application Load Balancer', 0.0225, 'hour', 'elasticloadbalancing'),
    natGateway: aws('NAT gateway', 0.045, 'hour', 'vpc'),
    disk: aws('EBS gp3, a disk of 200 GiB', 0.08, 'GiB and month', 'ebs'),
    engineer: { what: 'Engineering', usd: profile.engineerUsd, per: 'hour', source: 'given', date: '–' },
  };
}

function tokenPrices(profile: Profile): Pick<Prices, 'input' | 'cachedInput' | 'output'> {
  const { model, provider, inputUsd, outputUsd } = profile;
  const listed = lookUpPrice({ id: provider }, model);
  const price = (what: string, given: number | undefined, known: number | undefined): Price => {
    const usd = given ?? known;
    if (usd === undefined) {
      throw new UsageError(`no price is known for model ${model} of ${provider}: pass --input-usd and --output-usd`);
    }
    const isGiven = given !== undefined;
    return {
      what: `${model}: ${what}`,
      usd,
      per: 'million tokens',
      source: isGiven ? 'given' : `@pydantic/genai-prices ${PRICES_VERSION}, list price`,
      date: isGiven ? '–' : PRICES_DATE,
    };
  };
  const cached = inputUsd === undefined ? listed?.cachedInput : inputUsd;
  return {
    input: price('input', inputUsd, listed?.input),
    cachedInput: price('cached input', inputUsd, cached),
    output: price('output', outputUsd, listed?.output),
  };
}

/** Of the package that comes with this one; a test holds the version equal to package.json's. */
export const PRICES_VERSION = '0.1.8';
const PRICES_DATE = '23 September 2026';

function instancePrice({ instance, instanceHourlyUsd, spotFactor }: Profile): Price {
  const known = GPU_INSTANCES.get(instance);
  if (known === undefined) {
    throw new UsageError(
      `--instance ${instance} is no known GPU type: use one of ${[...GPU_INSTANCES.keys()].join(', ')}`,
    );
  }
  const usd = instanceHourlyUsd ?? known.hourlyUsd;
  if (usd === undefined) throw new UsageError(`no hourly price is known for ${instance}: pass --instance-hourly-usd`);
  const spot = spotFactor === 1 ? '' : `, Spot at ${spotFactor} of on-demand (assumed, given)`;
  return {
    what: `${instance}, Linux${spot}`,
    usd: usd * spotFactor,
    per: 'hour',
    source: instanceHourlyUsd === undefined ? GPU_PRICE_SOURCE : 'given',
    date: instanceHourlyUsd === undefined ? GPU_PRICE_DATE : '–',
  };
}

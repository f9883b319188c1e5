/** The tests of rules/ through a chain of two gateways. */
import { expectAll } from './chained.js';
import '../rules/01-era-of-a-request.test.js';
import '../rules/03-04-capabilities-and-attribution.test.js';
import '../rules/05-park.test.js';
import '../rules/06-unroll.test.js';
import '../rules/07-url-elicitation.test.js';
import '../rules/08-09-errors-and-headers.test.js';
import '../rules/10-11-conversions-and-lists.test.js';
import '../rules/12-13-ends-and-subscriptions.test.js';
import '../rules/15-legacy-details.test.js';
import { RULES } from '../chain-exceptions.js';

expectAll(RULES);

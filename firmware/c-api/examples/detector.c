/* A detector in C: opens the image that is compiled in, scores readings, and says why where one raises the alarm.
 *
 * model.h is what `flowlet export pump.flow --format c-header --name model -o model.h` writes. readings.h stands for the
 * sensor: `static const float readings[][MODEL_INPUTS] = {{...}, ...};`. Numbers are sent as the bits of their floats,
 * so that they can be compared with the host's. */

#include "board.h"
#include "flowlet.h"
#include "model.h"
#include "readings.h"

static flowlet_model_t model;
/* Explaining takes more of it than scoring. */
static uint32_t workspace[MODEL_EXPLAIN_WORKSPACE_WORDS];

static int failed(flowlet_status_t status)
{
    board_send("error: ");
    board_send(flowlet_strerror(status));
    board_send("\n");
    return 1;
}

static flowlet_status_t explain(const float *reading)
{
    flowlet_explanation_t why;
    size_t feature;
    flowlet_status_t status = flowlet_explain(&model, reading, MODEL_INPUTS, workspace,
                                              MODEL_EXPLAIN_WORKSPACE_WORDS, &why);

    if (status != FLOWLET_OK) {
        return status;
    }
    board_send("explained");
    board_send_bits(why.score);
    board_send_bits(why.excess);
    for (feature = 0; feature < why.features; feature++) {
        board_send_bits(why.attribution[feature]);
    }
    for (feature = 0; feature < why.features; feature++) {
        board_send_bits(why.nearest_normal[feature]);
    }
    board_send("\n");
    return FLOWLET_OK;
}

int main(void)
{
    size_t row;
    flowlet_status_t status = flowlet_open(&model, model_image, MODEL_IMAGE_BYTES);

    if (status == FLOWLET_OK) {
        status = flowlet_self_test(&model, workspace, MODEL_WORKSPACE_WORDS);
    }
    if (status != FLOWLET_OK) {
        return failed(status);
    }
    for (row = 0; row < sizeof readings / sizeof readings[0]; row++) {
        flowlet_score_t score;
        flowlet_statistics_t all;

        status = flowlet_score(&model, readings[row], MODEL_INPUTS, workspace, MODEL_WORKSPACE_WORDS, &score);
        if (status != FLOWLET_OK) {
            return failed(status);
        }
        board_send("score");
        board_send_bits(score.log_prob);
        board_send_bits(score.p_value);
        board_send_bits(score.score);
        board_send(score.alarm ? " alarm\n" : "\n");

        status = flowlet_statistics(&model, readings[row], MODEL_INPUTS, workspace, MODEL_WORKSPACE_WORDS, &all);
        if (status != FLOWLET_OK) {
            return failed(status);
        }
        board_send("statistics");
        board_send_bits(all.negative_log_prob.value);
        board_send_bits(all.squared_norm.value);
        board_send_bits(all.typicality.value);
        board_send("\n");

        if (score.alarm) {
            status = explain(readings[row]);
            if (status != FLOWLET_OK) {
                return failed(status);
            }
        }
    }
    return 0;
}

/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.bakery;

import java.util.Optional;

/** The stages that a batch goes through in the bakery, in their usual order. */
public enum BatchState {
  /** The batch is mixed. */
  MIXED(true),
  /** The batch is proved. */
  PROVED(true),
  /** The batch is baked. */
  BAKED(true),
  /** The batch is sold. */
  SOLD(false);

  private final boolean open;

  BatchState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a batch in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a batch that usually follows; the whole way is mixed, proved, baked, sold.
   *
   * @return the next stage of the batch, or nothing once it is sold
   */
  public Optional<BatchState> next() {
    BatchState[] batchStates = values();
    int following = ordinal() + 1;
    return following < batchStates.length ? Optional.of(batchStates[following]) : Optional.empty();
  }
}

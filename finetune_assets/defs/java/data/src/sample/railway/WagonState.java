/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.railway;

import java.util.Optional;

/** The stages that a wagon goes through in the railway, in their usual order. */
public enum WagonState {
  /** The wagon is empty. */
  EMPTY(true),
  /** The wagon is loaded. */
  LOADED(true),
  /** The wagon is coupled. */
  COUPLED(false),
  /** The wagon is inspected. */
  INSPECTED(false);

  private final boolean open;

  WagonState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a wagon in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a wagon that usually follows; the whole way is empty, loaded, coupled, inspected.
   *
   * @return the next stage of the wagon, or nothing once it is inspected
   */
  public Optional<WagonState> next() {
    WagonState[] wagonStates = values();
    int following = ordinal() + 1;
    return following < wagonStates.length ? Optional.of(wagonStates[following]) : Optional.empty();
  }
}

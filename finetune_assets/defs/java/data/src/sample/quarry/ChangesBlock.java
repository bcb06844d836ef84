/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.quarry;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Marks a method that changes the books of the quarry, so that the audit can find it.
 *
 * <p>The audit reads it by reflection; it has no effect of its own.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface ChangesBlock {

  /** Says in a few words why the block is changed. */
  String value();

  /** Names the stages in which the change is allowed; all of them when empty. */
  BlockState[] allowedIn() default {};

  /** Gives the fewest tons of stone that a block must have to be changed in this way. */
  int fewestTons() default 0;

  /** Tells whether the bench has to be told of the change as well. */
  boolean tellBench() default true;

  /** Names the form on paper that goes with the change, with the mark of the quarry. */
  String form() default "quarry-0";
}
